//go:build unix && !linux

package exec

import (
	"errors"
	osexec "os/exec"
	"syscall"
)

// Elsewhere RLIMIT_AS can't be set for another process.
const limitsMemory = false

// ofOwnGroup puts a process into a group of its own.
func ofOwnGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func limitMemory(int, uint64) error { return errors.ErrUnsupported }

// reap waits for a process, and then calls ended.
func reap(cmd *osexec.Cmd, ended func()) {
	_ = cmd.Wait() // ProcessState says how it ended
	ended()
}
