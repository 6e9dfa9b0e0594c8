package files

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// topic is a publisher that keeps what a consumer of all its events would hold.
type topic struct {
	mu      sync.Mutex
	files   map[string]string // content, or "!" and the reason
	log     []string          // events since the last clear
	changed chan struct{}     // closed at the next event
	fail    func(events []Event) error
}

func newTopic() *topic { return &topic{files: map[string]string{}, changed: make(chan struct{})} }

func (p *topic) Publish(_ context.Context, events []Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		if err := p.fail(events); err != nil {
			return err
		}
	}
	for _, e := range events {
		p.take(e)
	}
	close(p.changed)
	p.changed = make(chan struct{})
	return nil
}

func (p *topic) take(e Event) {
	switch e.Op {
	case Put:
		p.files[e.Path] = string(e.Content)
		p.log = append(p.log, "put "+e.Path)
	case Delete:
		delete(p.files, e.Path)
		p.log = append(p.log, "delete "+e.Path)
	case Refused:
		p.files[e.Path] = "!" + e.Reason
		p.log = append(p.log, "refuse "+e.Path)
	}
}

func (p *topic) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return text(p.files)
}

func text(files map[string]string) string {
	var all []string
	for path, content := range files {
		all = append(all, path+"="+content)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// taken returns the events since the last call.
func (p *topic) taken() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	log := p.log
	p.log = nil
	slices.Sort(log)
	return strings.Join(log, ", ")
}

// wait blocks until the topic holds exactly the files.
func (p *topic) wait(t *testing.T, want string) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		p.mu.Lock()
		changed, got := p.changed, text(p.files)
		p.mu.Unlock()
		if got == want {
			return
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("topic holds\n%s\nwant\n%s", got, want)
		}
	}
}

// place is a directory with a watcher.
type place struct {
	*testing.T
	dir, root string
	topic     *topic
	options   Options
	open      func(*os.Root, string) (*os.File, error)
}

func newPlace(t *testing.T) *place {
	dir := t.TempDir()
	p := &place{T: t, dir: dir, root: filepath.Join(dir, "root"), topic: newTopic(), open: openFile}
	p.options = Options{Root: p.root, IndexPath: filepath.Join(dir, "index"), Rescan: time.Hour}
	p.must(os.Mkdir(p.root, 0o755))
	return p
}

func (p *place) must(errs ...error) {
	p.Helper()
	for _, err := range errs {
		if err != nil {
			p.Fatal(err)
		}
	}
}

func (p *place) at(path string) string { return filepath.Join(p.root, filepath.FromSlash(path)) }

func (p *place) write(path, content string) {
	p.Helper()
	p.must(os.MkdirAll(filepath.Dir(p.at(path)), 0o755), os.WriteFile(p.at(path), []byte(content), 0o644))
}

func (p *place) rename(from, to string) { p.Helper(); p.must(os.Rename(p.at(from), p.at(to))) }

func (p *place) watcher() *Watcher {
	p.Helper()
	w, err := New(p.options, p.topic, slog.New(slog.DiscardHandler))
	p.must(err)
	w.open = p.open
	return w
}

// scan makes one pass and returns what it published.
func (p *place) scan() string {
	p.Helper()
	_, err := p.watcher().Scan(p.Context())
	p.must(err)
	return p.topic.taken()
}

func (p *place) expect(what, got, want string) {
	p.Helper()
	if got != want {
		p.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// run watches until the returned function is called, or the test ends.
func (p *place) run() (stop func()) {
	ctx, cancel := context.WithCancel(p.Context())
	ended := make(chan error, 1)
	w := p.watcher()
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			p.Error(err)
		}
	})
	p.Cleanup(stop)
	return stop
}

// age makes the index trust the stamps it has, as it does of files that were quiet for a while before they were read.
func (p *place) age() {
	p.Helper()
	x, err := openIndex(p.options.IndexPath, p.options.Identity)
	p.must(err)
	for _, e := range x.known {
		e.Settled = true
		p.must(x.record(e))
	}
	p.must(x.close())
}
