package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run gives the tests a place for the binary, and ends what they shared.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "freshet-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binaryPath, newerPath = cmp.Or(os.Getenv("FRESHET_BINARY"), filepath.Join(dir, "freshet")), filepath.Join(dir, "freshet-newer")
	return testenv.Main(m)
}

var binaryPath, newerPath string

// build makes the binary that all tests run, once. FRESHET_BINARY names one that exists already.
var build = sync.OnceValue(func() error {
	if os.Getenv("FRESHET_BINARY") != "" {
		return nil
	}
	cmd := exec.Command("go", "build", "-ldflags=-w", "-o", binaryPath, "github.com/freshet-dev/freshet/cmd/freshet")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build freshet: %w\n%s", err, out)
	}
	return nil
})

// patience is how long a test waits for anything; a busy machine needs a good part of it.
const patience = 90 * time.Second

// process is a freshet that runs, or has run.
type process struct {
	t          testing.TB
	args       []string
	cmd        *exec.Cmd
	stdout     bytes.Buffer
	stderr     lockedBuffer
	done       chan struct{}
	began, end time.Time
}

// lockedBuffer can be read while the process still writes.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// start runs freshet in a directory with additional environment; it ends with the test.
func start(t testing.TB, dir string, env []string, args ...string) *process {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	return startBinary(t, binaryPath, dir, env, args...)
}

// startBinary is start, of any build of freshet.
func startBinary(t testing.TB, binary, dir string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, args: args, done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.began = time.Now()
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
		_ = p.cmd.Wait() // the exit code says it
		p.end = time.Now()
		close(p.done)
	}
}

// kill ends the process by SIGKILL, unless it has ended.
func (p *process) kill() { p.signal(syscall.SIGKILL) }

// stop lets the process end by itself.
func (p *process) stop() { p.signal(syscall.SIGTERM) }

func (p *process) signal(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended
	p.wait()
}

// wait returns when the process has ended.
func (p *process) wait() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Signal(syscall.SIGABRT) // it prints what its goroutines do
		<-p.done
		p.t.Errorf("freshet %s did not end\n%s", strings.Join(p.args, " "), p.stderr.String())
	}
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// exits waits for the process and checks its exit code.
func (p *process) exits(code int) {
	p.t.Helper()
	p.wait()
	if got := p.cmd.ProcessState.ExitCode(); got != code {
		p.t.Fatalf("freshet %s: exit code %d, want %d\n%s", strings.Join(p.args, " "), got, code, p.stderr.String())
	}
}

// reads waits until the process ended well, and returns what it printed.
func (p *process) reads() string {
	p.t.Helper()
	p.exits(0)
	return p.stdout.String()
}

// complains checks that the process ended with a code and exactly one line that holds all the words.
func (p *process) complains(code int, words ...string) {
	p.t.Helper()
	p.exits(code)
	message := strings.TrimSpace(p.stderr.String())
	p.t.Logf("after %v: %s", p.end.Sub(p.began).Round(10*time.Millisecond), message)
	if message == "" || strings.Contains(message, "\n") || strings.Contains(message, "panic") {
		p.t.Errorf("want one line that says what is wrong, got:\n%s", message)
	}
	for _, w := range words {
		if !strings.Contains(message, w) {
			p.t.Errorf("the message does not say %q", w)
		}
	}
}

// until waits until fn is true while the process runs.
func (p *process) until(what string, fn func(context.Context) bool) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !fn(ctx) {
		select {
		case <-tick.C:
		case <-p.done:
			p.t.Fatalf("freshet ended before: %s\n%s", what, p.stderr.String())
		case <-ctx.Done():
			p.t.Fatalf("gave up waiting: %s\n%s", what, p.stderr.String())
		}
	}
}

// report is the object that --once --json prints: these keys and no others.
type report struct {
	Documents, Deleted, Noop, Quarantined int
	Nodes                                 map[string]struct{ Computed, Reused int }
	Tables                                map[string]struct{ Upserts, Deletes, Rows int }
	Targets                               map[string]struct{ Lag int }
	Seconds                               float64
}

// reports waits for a run with --once --json and returns what it printed.
func (p *process) reports(code int) (r report) {
	p.t.Helper()
	p.exits(code)
	dec := json.NewDecoder(bytes.NewReader(p.stdout.Bytes()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&r); err != nil {
		p.t.Fatalf("the report: %v\n%s", err, p.stdout.String())
	}
	if err := dec.Decode(&struct{}{}); err != io.EOF {
		p.t.Fatalf("more than one object was printed: %s", p.stdout.String())
	}
	return r
}
