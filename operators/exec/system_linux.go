package exec

import (
	"errors"
	osexec "os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

const limitsMemory = true

// ofOwnGroup puts a process into a group of its own, and ends it with the thread that starts it.
func ofOwnGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// limitMemory bounds the address space of a running process, and of all that it starts from now on.
func limitMemory(pid int, bytes uint64) error {
	err := unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: bytes, Max: bytes}, nil)
	if errors.Is(err, unix.ESRCH) {
		return nil // it has ended
	}
	return err
}

// reap waits for a process. In ended it is still a zombie, so that no other process or group has its number.
func reap(cmd *osexec.Cmd, ended func()) {
	for {
		if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	ended()
	_ = cmd.Wait() // ProcessState says how it ended
}
