package torture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// process is a running freshet.
type process struct {
	cmd  *exec.Cmd
	out  tail
	done chan struct{} // closed when it has ended
	err  error         // how; to be read when done is closed
}

// launch starts the binary; the process ends with the test whole at the latest, of which t may be a part.
func launch(t, whole *testing.T, bin string, env []string, args ...string) *process {
	t.Helper()
	p := &process{done: make(chan struct{})}
	p.cmd = exec.Command(bin, args...)
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	// A process group of its own: when the shell that began the test ends, the test's group has no parent in the session any more,
	// and the kernel continues (SIGCONT) whatever stands still in such a group.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	whole.Cleanup(p.kill)
	return p
}

// kill ends the process by SIGKILL, also one that is stopped.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) } // it may have ended

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// killed reports whether a process that has ended died of SIGKILL rather than by itself.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// code is the exit code of a process that has ended by itself.
func (p *process) code() int { return p.cmd.ProcessState.ExitCode() }

// stopped reports whether the process stands still.
func (p *process) stopped() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	_, state, _ := strings.Cut(string(text), ") ")
	return err == nil && strings.HasPrefix(state, "T")
}

// address finds where the process listens: the control HTTP is all that it serves.
func (p *process) address() (string, bool) {
	const listening = "0A"
	for _, s := range p.sockets() {
		if s.state == listening {
			return fmt.Sprintf("127.0.0.1:%d", s.port), true
		}
	}
	return "", false
}

// has reports whether the process has a socket on a port of its side.
func (p *process) has(port int) bool {
	return slices.ContainsFunc(p.sockets(), func(s socket) bool { return s.port == port })
}

// socket is one of TCP: its port here, and its state as Linux writes it.
type socket struct {
	port  int
	state string
}

// sockets are those of the process, none when it has ended.
func (p *process) sockets() (all []socket) {
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	links, err := os.ReadDir(proc + "fd")
	if err != nil {
		return nil
	}
	own := map[string]bool{}
	for _, l := range links {
		to, _ := os.Readlink(filepath.Join(proc, "fd", l.Name())) // it may be closed by now
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	table, _ := os.ReadFile(proc + "net/tcp") // it may have ended
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && own[f[9]] {
			s := socket{state: f[3]}
			if _, err := fmt.Sscanf(f[1][strings.Index(f[1], ":")+1:], "%X", &s.port); err == nil {
				all = append(all, s)
			}
		}
	}
	return all
}

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (o *tail) Write(b []byte) (int, error) {
	const most = 16 << 10
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	if len(o.text) > 2*most {
		o.text = append([]byte(nil), o.text[len(o.text)-most:]...)
	}
	return len(b), nil
}

func (o *tail) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
