package upgrade

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// earlier is the tree of the format before today's: of commit 3245f3b737863a388affb644f39aab9b00ea83fa.
const earlier = "1a16733370b23c0342081935c6d3e214a2eef9df"

// patience is how long a test waits for anything.
const patience = 2 * time.Minute

// builds are the binaries that replace each other.
type builds struct{ before, now string }

func build(t *testing.T) builds {
	t.Helper()
	return builds{before: testenv.Pinned(t, earlier), now: today(t)}
}

func today(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "freshet")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-w", "-o", bin, "github.com/freshet-dev/freshet/cmd/freshet")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// process is a freshet that runs, or has run.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdout bytes.Buffer
	log    locked
	done   chan struct{}
	err    error
}

// locked can be read while the process still writes.
type locked struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *locked) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *locked) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs a binary; it ends with the test.
func start(t *testing.T, name, bin, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(bin, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go p.own(started)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// own starts the process and waits for it on one thread: the parent-death signal belongs to the thread that forked.
func (p *process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
		close(p.done)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// stop asks the process to end and requires that it does so without a complaint.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	p.wait(0)
}

// wait waits for the end and requires the exit code.
func (p *process) wait(code int) {
	p.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		p.t.Fatalf("%s does not end\n%s", p.name, p.log.String())
	}
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("%s ended with %d (%v), want %d\n%s", p.name, got, p.err, code, p.log.String())
	}
}

// until asks again and again until what holds; it fails the test when one of the processes ends or patience does.
func until(t *testing.T, what string, running []*process, holds func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("gave up waiting: %s\n%s", what, logs(running))
		}
		for _, p := range running {
			select {
			case <-p.done:
				t.Fatalf("%s ended (%v) before: %s\n%s", p.name, p.err, what, p.log.String())
			default:
			}
		}
	}
}

func logs(running []*process) (text string) {
	for _, p := range running {
		text += fmt.Sprintf("== %s\n%s", p.name, p.log.String())
	}
	return text
}
