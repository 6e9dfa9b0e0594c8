package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/control"
)

// Files, pipes and buffers get nothing, and a progress that shows nothing takes all calls.
func TestNoProgressAwayFromTerminals(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var buffer bytes.Buffer
	for _, p := range []*progress{newProgress(file, "replay", "commits"), newProgress(&buffer, "replay", "commits"),
		newProgress(null, "replay", "commits"), newProgress(nil, "replay", "commits"), newProgress((*os.File)(nil), "replay", "commits")} {
		if p != nil {
			t.Error("there is a progress away from a terminal")
		}
		p.Set(1, 2, "3 edits")
		p.Done()
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 || buffer.Len() != 0 {
		t.Errorf("something was written: %v, %q (%v)", info, buffer.String(), err)
	}
}

// screen gathers what is written and tells when it holds a text.
type screen struct {
	mu    sync.Mutex
	all   strings.Builder
	want  string
	shown chan struct{}
	once  sync.Once
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(b)
	if strings.Contains(s.all.String(), s.want) {
		s.once.Do(func() { close(s.shown) })
	}
	return len(b), nil
}

func TestProgressIsShown(t *testing.T) {
	for _, c := range []struct {
		name        string
		done, total int64
		want        []string
	}{
		{"known", 2, 4, []string{"replay", "[====", "2 of 4 commits, 9 edits", "left"}},
		{"unknown", 2, 0, []string{"replay", "2 commits, 9 edits"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &screen{want: "9 edits", shown: make(chan struct{})}
			p := showProgress(s, "replay", "commits")
			p.Set(c.done, c.total, "9 edits")
			select {
			case <-s.shown:
			case <-t.Context().Done():
			}
			p.Done()
			p.Set(3, 4, "") // after the end: nothing, and it does not wait
			for _, want := range c.want {
				if !strings.Contains(s.all.String(), want) {
					t.Errorf("%q is not shown in %q", want, s.all.String())
				}
			}
		})
	}
}

func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		done, total int64
		note, want  string
	}{
		{0, 0, "", "10s"},
		{0, 4, "", "0 of 4 commits, 10s"},
		{1, 4, "5 edits", "1 of 4 commits, 5 edits, 30s left"},
		{4, 4, "", "4 of 4 commits, 0s left"},
		{3, 0, "5 edits", "3 commits, 5 edits, 10s"},
	} {
		if got := progressText(c.done, c.total, "commits", c.note, 10*time.Second); got != c.want {
			t.Errorf("%d of %d: %q, not %q", c.done, c.total, got, c.want)
		}
	}
}

// Partitions count once their rebuild has ended, not before it has begun.
func TestRebuiltPartitions(t *testing.T) {
	parts := func(rebuilding ...bool) (out []control.TargetPartition) {
		for i, r := range rebuilding {
			out = append(out, control.TargetPartition{Partition: int32(i), Rebuilding: r})
		}
		return out
	}
	for _, c := range []struct {
		name      string
		targets   []control.Target
		done, all int64
	}{
		{"none yet", nil, 0, 0},
		{"asked", []control.Target{{Target: "local", Rebuilding: true, Partitions: parts(false, false)}}, 0, 2},
		{"under way", []control.Target{{Target: "local", Rebuilding: true, Partitions: parts(false, true)}}, 1, 2},
		{"one of two processes", []control.Target{{Target: "local", Partitions: parts(false, false)},
			{Target: "local", Rebuilding: true, Partitions: parts(true, true, false)}, {Target: "away", Partitions: parts(false)}}, 3, 5},
	} {
		if done, all, _ := rebuiltOf("local", c.targets); done != c.done || all != c.all {
			t.Errorf("%s: %d of %d, not %d of %d", c.name, done, all, c.done, c.all)
		}
	}
}

// The commits of a recorded history that a replay takes are counted before it; an unreadable one has an unknown number.
func TestCommitsAhead(t *testing.T) {
	corpus := filepath.Join(t.TempDir(), "history.ndjson")
	lines := `{"commit":"a","ts":1,"path":"x.md","op":"upsert","text":"1"}
{"commit":"b","ts":2,"path":"x.png","op":"upsert","text":"2"}
{"commit":"c","ts":3,"path":"x.md","op":"upsert","text":"3"}
`
	if err := os.WriteFile(corpus, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	takes := func(path string) bool { return strings.HasSuffix(path, ".md") }
	for _, c := range []struct {
		corpus string
		limit  int
		want   int64
	}{{corpus, 0, 2}, {corpus, 1, 1}, {corpus, 9, 2}, {corpus + ".absent", 0, 0}, {"", 0, 0}} {
		b := historyBench{corpus: c.corpus, limit: c.limit}
		if got := b.commits(t.Context(), takes); got != c.want {
			t.Errorf("%s, limit %d: %d commits, not %d", c.corpus, c.limit, got, c.want)
		}
	}
}
