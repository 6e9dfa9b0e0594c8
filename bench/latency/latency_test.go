//go:build bench

// Package latency measures how long an edit takes from the save of a file to its row in SQLite, under `freshet dev`.
package latency

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"modernc.org/sqlite"
)

const (
	documents = 50
	edits     = 100
	mostP99   = 300 * time.Millisecond
)

const flowText = `flow: latency
sources:
  page: { files: { root: docs, include: ["**/*.md"] } }
models:
  small: { provider: hash }
nodes:
  body:   { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, max_tokens: 256, each: chunk }
  input:  { op: expr, in: 'body.title + "\n" + chunk.text' }
  vector: { op: embed, in: input, model: small }
tables:
  chunks:
    for: chunk
    key: chunk.id
    columns: { path: page.path, title: body.title, text: chunk.text, embedding: vector }
targets:
  local: { sqlite: { path: latency.db }, tables: [chunks] }
`

// TestLatency saves one file after the other, at random moments, and waits for each edit's row.
func TestLatency(t *testing.T) {
	s := newScene(t)
	for id := range documents {
		s.save(id, "first edition")
	}
	s.start()
	s.await("first edition", documents)
	took := make([]time.Duration, edits)
	for i := range took {
		s.rest()
		took[i] = s.edit(i)
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	t.Logf("save → row visible, %d edits of %d files: p50 %s, p99 %s, longest %s; allowed p99: %s",
		edits, documents, round(p50), round(p99), round(took[len(took)-1]), mostP99)
	if p99 > mostP99 {
		t.Errorf("p99 is %s; %s is allowed", round(p99), mostP99)
	}
}

// reader opens a SQLite file that it never writes.
type reader struct{ path string }

// Driver implements driver.Connector.
func (reader) Driver() driver.Driver { return &sqlite.Driver{} }

// Connect implements driver.Connector.
func (r reader) Connect(context.Context) (driver.Conn, error) {
	return r.Driver().Open("file:" + r.path + "?mode=ro&_pragma=busy_timeout(1000)")
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// scene is a directory of documents, a flow over it, and a reader of its target.
type scene struct {
	t      *testing.T
	dir    string
	db     *sql.DB
	random *rand.Rand
	ended  chan struct{} // closed when freshet has
}

func newScene(t *testing.T) *scene {
	s := &scene{t: t, dir: t.TempDir(), random: rand.New(rand.NewPCG(1, 2)), ended: make(chan struct{})}
	if err := os.Mkdir(filepath.Join(s.dir, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "latency.yaml"), []byte(flowText), 0o644); err != nil {
		t.Fatal(err)
	}
	return s
}

// save writes a document of four sections, of which the second holds the edition.
func (s *scene) save(id int, edition string) {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "# Document %d\n", id)
	for section := range 4 {
		fmt.Fprintf(&b, "\n## Section %d\n\n", section)
		if section == 1 {
			fmt.Fprintf(&b, "This is the %s.\n", edition)
		}
		b.WriteString(strings.Repeat(fmt.Sprintf("What document %d says in section %d is said at length. ", id, section), 12))
		b.WriteByte('\n')
	}
	if err := os.WriteFile(filepath.Join(s.dir, "docs", fmt.Sprintf("%d.md", id)), []byte(b.String()), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// start runs freshet dev, and opens its target when that is there.
func (s *scene) start() {
	s.t.Helper()
	bin := os.Getenv("FRESHET_BIN")
	if bin == "" {
		s.t.Fatal("FRESHET_BIN is not set: run bench/run.sh")
	}
	cmd := exec.Command(bin, "dev", "-f", filepath.Join(s.dir, "latency.yaml"))
	cmd.Stdout, cmd.Stderr = s.t.Output(), s.t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // that it ended is what counts
		close(s.ended)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-s.ended
	})
	db := sql.OpenDB(reader{filepath.Join(s.dir, "latency.db")})
	s.t.Cleanup(func() { _ = db.Close() }) // it only read
	s.db = db
}

// edit saves a document and returns how long it took until its row was visible, found within a millisecond or two.
func (s *scene) edit(i int) time.Duration {
	s.t.Helper()
	edition := fmt.Sprintf("edition of edit %d", i)
	began := time.Now()
	s.save(s.random.IntN(documents), edition)
	s.await(edition, 1)
	return time.Since(began)
}

// await returns when n rows hold the text.
func (s *scene) await(text string, n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		var rows int
		err := s.db.QueryRowContext(ctx, `select count(*) from chunks where instr(text, ?) > 0`, "the "+text+".").Scan(&rows)
		if err == nil && rows == n {
			return
		}
		select {
		case <-tick.C:
		case <-s.ended:
			s.t.Fatal("freshet ended")
		case <-ctx.Done():
			s.t.Fatalf("%d rows hold %q, not %d (%v)", rows, text, n, err)
		}
	}
}

// rest lets up to a fifth of a second pass, so that edits meet the processor at any point of what it does by itself.
func (s *scene) rest() {
	<-time.After(time.Duration(s.random.Int64N(int64(200 * time.Millisecond))))
}
