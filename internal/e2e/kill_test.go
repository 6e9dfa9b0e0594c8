package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// editor changes pages at random: writes, rewrites, removes.
type editor struct {
	*project
	random *rand.Rand
	live   map[int]bool
}

func (e *editor) edit() {
	n := e.random.IntN(20)
	path := fmt.Sprintf("docs/page-%d.md", n)
	if e.live[n] && e.random.IntN(4) == 0 {
		e.remove(path)
		delete(e.live, n)
		return
	}
	e.live[n] = true
	var b strings.Builder
	fmt.Fprintf(&b, "# Page %d\n", n)
	for s := range 1 + e.random.IntN(5) {
		fmt.Fprintf(&b, "\n## Section %d\n\nIn edition %d the river carries what it is given.\n", s, e.random.IntN(6))
	}
	e.write(path, b.String())
}

// TestDevKilled: `freshet dev` that is killed at random moments while files change goes on where it was: in the end the
// tables are those of a fresh directory.
func TestDevKilled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	e := &editor{newProject(t, pageFlow).pages(), rand.New(rand.NewPCG(seed, 1)), map[int]bool{}}
	for range 12 {
		p := e.dev()
		moment := time.NewTimer(time.Duration(e.random.IntN(1500)) * time.Millisecond)
		tick := time.NewTicker(10 * time.Millisecond)
		for alive := true; alive; {
			select {
			case <-tick.C:
				e.edit()
			case <-moment.C:
				alive = false
			case <-p.done:
				t.Fatalf("dev ended by itself\n%s", p.stderr.String())
			}
		}
		tick.Stop()
		p.kill()
		if p.cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("dev ended by itself: %v\n%s", p.cmd.ProcessState, p.stderr.String())
		}
	}
	r := e.devOnce()
	if r.Tables["pages"].Rows != len(e.live)+3 {
		t.Errorf("%d pages, want %d", r.Tables["pages"].Rows, len(e.live)+3)
	}
	e.sameAsFresh(tables...)
}

// TestDevLive: while dev runs, an edit becomes visible; a stop and a start later there is nothing to do.
func TestDevLive(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	d := p.dev()
	shows := func(text string) {
		t.Helper()
		d.until(text, func(ctx context.Context) bool {
			rows, err := querySQLite(ctx, p.dir+"/out.db", "chunks") // an error: the table is not there yet
			return err == nil && strings.Contains(strings.Join(rows, "\n"), text)
		})
	}
	shows("The sea is salt.")
	p.write("docs/rivers.md", "# Rivers\n\nThey were edited.\n")
	shows("They were edited.")
	p.write("docs/new.md", "# New\n\nThis is a page more.\n")
	shows("This is a page more.")
	d.stop()
	d.exits(0)
	if r := p.devOnce(); r.Documents != 0 || r.Nodes["vector"].Computed != 0 {
		t.Errorf("after a clean stop: %+v", r)
	}
	p.sameAsFresh(tables...)
}

// TestDevTwice: a second dev on the same data directory is refused, and the first goes on.
func TestDevTwice(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	first := p.dev()
	first.until("the first page is there", func(ctx context.Context) bool {
		rows, err := querySQLite(ctx, p.dir+"/out.db", "pages") // an error: the table is not there yet
		return err == nil && len(rows) == 3
	})
	p.dev("--once").complains(2, "in use")
	if !first.running() {
		t.Errorf("the first ended: %s", first.stderr.String())
	}
}
