package testenv

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is one child with its output in a file. It is the leader of its own process group, so that a signal reaches
// what it forked, and the kernel kills it when this process dies.
type process struct {
	name  string
	log   string
	pid   int
	ended chan struct{} // closed when the child was waited for
}

// launch starts cmd with its output appended to dir/name.log. After an error there is no process.
func launch(cmd *exec.Cmd, name, dir string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	out, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	started := make(chan error)
	go p.own(cmd, started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// own starts the child and waits for it on one thread: the parent-death signal belongs to the thread that forked, so
// that thread must live as long as the child.
func (p *process) own(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- fmt.Errorf("start %s: %w", p.name, err)
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait() // how it ended is of no interest: it was told to, or its log says why
	close(p.ended)
}

// kill ends the process group by SIGKILL and returns when the child is gone.
func (p *process) kill() {
	if p == nil {
		return
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop asks the child to end by sig; after limit it is killed.
func (p *process) stop(sig syscall.Signal, limit time.Duration) {
	if p == nil {
		return
	}
	select {
	case <-p.ended:
		return
	default:
	}
	_ = syscall.Kill(p.pid, sig)
	select {
	case <-p.ended:
	case <-time.After(limit):
		p.kill()
	}
}

func (p *process) signal(sig syscall.Signal) {
	select {
	case <-p.ended:
	default:
		_ = syscall.Kill(-p.pid, sig)
	}
}

// tail returns the last lines of the child's output.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(its log can't be read: %v)", err)
	}
	const most = 4096
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return "last lines of " + p.log + ":\n" + string(bytes.TrimSpace(text))
}
