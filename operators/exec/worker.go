package exec

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"runtime"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/operators/internal/blackbox"
	"github.com/freshet-dev/freshet/stream"
)

// worker is a process. Its methods are for one goroutine at a time, but for kill and runs.
type worker struct {
	cmd     *osexec.Cmd
	memory  uint64
	in, out *os.File
	lines   *bufio.Reader // of out
	secrets []string
	spoken  *spoken       // on its standard error
	last    uint64        // number of the last request
	done    chan struct{} // closed when it and its group are gone

	mu     sync.Mutex
	reaped bool // its number may be another process's
}

// start starts a worker and waits for its hello.
func start(ctx context.Context, c command, d blackbox.Declared) (*worker, error) {
	w, err := launch(c)
	if err != nil {
		return nil, err
	}
	if err := w.greet(ctx, c, d); err != nil {
		return nil, stream.Errorf(kindOf(err), c.op, "a worker did not get ready: %w", w.endFor(err))
	}
	return w, nil
}

// kindOf is the class of what a worker did before it was asked anything: no input has a part in it.
func kindOf(err error) stream.ErrorKind {
	if errors.Is(err, errOther) {
		return stream.Usage
	}
	return stream.Transient
}

// launch starts the process, with its limit.
func launch(c command) (*worker, error) {
	cmd, secrets, err := c.prepare()
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: cmd, memory: c.memory, secrets: secrets, done: make(chan struct{})}
	theirs, said, err := w.pipes()
	if err != nil {
		return nil, c.notStarted(err)
	}
	w.lines = bufio.NewReaderSize(w.out, 64<<10)
	w.spoken = &spoken{from: said, secrets: secrets, log: c.log.With("command", shown(append([]string{c.path}, c.args...)))}
	started := make(chan error)
	go w.own(started)
	err = <-started
	closeAll(theirs...)
	if err == nil && c.memory > 0 {
		err = limitMemory(cmd.Process.Pid, c.memory)
		if err != nil {
			w.end(0)
			return nil, c.notStarted(err)
		}
	}
	if err != nil {
		closeAll(w.in, w.out, said)
		return nil, c.notStarted(err)
	}
	return w, nil
}

// pipes connects the process. theirs are the ends that it takes over, said is what it writes to its standard error.
func (w *worker) pipes() (theirs []*os.File, said *os.File, err error) {
	var ours []*os.File
	for _, theyRead := range []bool{true, false, false} {
		read, write, err := os.Pipe()
		if err != nil {
			closeAll(append(ours, theirs...)...)
			return nil, nil, err
		}
		if theyRead {
			theirs, ours = append(theirs, read), append(ours, write)
		} else {
			theirs, ours = append(theirs, write), append(ours, read)
		}
	}
	w.in, w.out = ours[0], ours[1]
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	return theirs, ours[2], nil
}

func closeAll(files ...*os.File) {
	for _, f := range files {
		_ = f.Close() // a pipe
	}
}

// lastWords is how long what a process wrote is read after its end: a descendant that left the group may hold the pipes open.
const lastWords = time.Second

// own starts the process and waits for it, on one thread: the signal that ends it with its parent belongs to the thread.
func (w *worker) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := w.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		w.spoken.listen()
	}()
	reap(w.cmd, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		killGroup(w.cmd.Process.Pid) // what it started
		w.reaped = true
	})
	_ = w.spoken.from.SetReadDeadline(time.Now().Add(lastWords)) // a pipe has deadlines
	<-heard
	close(w.done)
}

// runs reports whether the process has not ended.
func (w *worker) runs() bool {
	select {
	case <-w.done:
		return false
	default:
		return true
	}
}

// kill ends the process and its group, and does not wait.
func (w *worker) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.reaped {
		killGroup(w.cmd.Process.Pid)
	}
}

// end closes the worker's input, gives it time to end by itself, and returns when it is gone.
func (w *worker) end(within time.Duration) {
	_ = w.in.Close()
	patience := time.NewTimer(within)
	defer patience.Stop()
	if within > 0 {
		select {
		case <-w.done:
		case <-patience.C:
		}
	}
	w.kill()
	<-w.done
	_ = w.out.Close()
}

// endFor ends the worker for a failure, and adds to that what is known.
func (w *worker) endFor(err error) error {
	if !errors.Is(err, errGone) {
		w.end(0)
		return err
	}
	w.end(lastWords) // it is about to end by itself, and then says how
	limit := ""
	if w.memory > 0 {
		limit = fmt.Sprintf(", with a limit of %d MiB", w.memory>>20)
	}
	return fmt.Errorf("%w: %s%s%s", err, w.cmd.ProcessState, limit, w.spoken.quote())
}
