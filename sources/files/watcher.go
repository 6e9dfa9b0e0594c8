package files

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Watcher publishes what happens to the files below a directory. Run and Scan must not overlap.
type Watcher struct {
	options   Options
	publisher Publisher
	log       *slog.Logger
	open      func(*os.Root, string) (*os.File, error)
}

// New checks the options; it does no I/O. Faults are of kind Usage.
func New(o Options, p Publisher, log *slog.Logger) (*Watcher, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	return &Watcher{o, p, log, openFile}, nil
}

// Scan compares the whole directory once and publishes the differences. A root that is absent or can't be read is an
// error of kind Usage.
func (w *Watcher) Scan(ctx context.Context) (stats Stats, err error) {
	x, err := w.openIndex(ctx)
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	t, err := w.openTree(x)
	if err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	return t.compare(ctx, []string{""}, nil)
}

// Run compares the whole directory, and then publishes changes as they happen, until ctx ends, which is no error. A root
// that is absent at the start is an error of kind Usage; one that goes away later is waited for.
func (w *Watcher) Run(ctx context.Context) (err error) {
	x, err := w.openIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.close()) }()
	t, err := w.openTree(x)
	for err == nil {
		err = w.session(ctx, t)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, errRoot) {
			w.log.Warn("the watched directory is gone; nothing is deleted, waiting for it to come back", "root", w.options.Root)
			t, err = w.reopen(ctx, x)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// rootPoll is how often an absent root is looked for.
const rootPoll = 200 * time.Millisecond

// reopen waits for the root. An empty directory in its place is no return: it may be what an unmounted volume leaves.
func (w *Watcher) reopen(ctx context.Context, x *index) (*tree, error) {
	tick := time.NewTicker(rootPoll)
	defer tick.Stop()
	for {
		if t := w.returned(x); t != nil {
			w.log.Info("the watched directory is back", "root", w.options.Root)
			return t, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *Watcher) returned(x *index) *tree {
	t, err := w.openTree(x)
	if err != nil {
		return nil
	}
	if found, err := t.readDir(""); err != nil || len(found) == 0 {
		_ = t.close() // it was only read
		return nil
	}
	return t
}

// openIndex opens the index and adds what the caller knows to be published.
func (w *Watcher) openIndex(ctx context.Context) (*index, error) {
	x, err := openIndex(w.options.IndexPath, w.options.Identity)
	if err != nil || w.options.Known == nil {
		return x, err
	}
	paths, err := w.options.Known(ctx)
	if err != nil {
		return nil, errors.Join(&stream.Error{Op: "list the files published earlier", Kind: stream.KindOf(err), Err: err}, x.close())
	}
	for _, path := range paths {
		if _, ok := x.known[path]; !ok {
			x.keep(entry{Path: path})
		}
	}
	return x, nil
}
