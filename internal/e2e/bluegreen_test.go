package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// rollingNotes is a flow whose table says which revision of it made its rows, in three targets.
func rollingNotes(broker, topic, name, revision string) string {
	return fmt.Sprintf(`flow: %[3]s
kafka: { brokers: ["%[1]s"] }
sources:
  note:
    debezium: { topic: "%[2]s" }
    fields: { id: int, text: string }
models: { lexical: { provider: hash } }
nodes: { vector: { op: embed, in: note.text, model: lexical } }
tables:
  notes: { rollout: blue-green, columns: { text: note.text, embedding: vector, revision: '"%[4]s"' } }
targets:
  db:     { postgres: { url: "env:E2E_URL", schema: e2e }, tables: [notes] }
  local:  { sqlite: { path: out.db }, tables: [notes] }
  search: { qdrant: { url: "env:QDRANT_URL" }, tables: { notes: { table: %[3]s } } }
`, broker, topic, name, revision)
}

// seen is what readers of the targets saw: of each answer the revisions of all rows.
type seen struct {
	mu      sync.Mutex
	last    map[string]string // by target: the revision of the last answer
	texts   map[string][]string
	answers map[string]int
	mixed   []string
}

// note takes one answer: rows as "revision text".
func (s *seen) note(target string, rows []string) {
	slices.Sort(rows)
	var revisions, texts []string
	for _, r := range rows {
		revision, text, _ := strings.Cut(r, " ")
		revisions, texts = append(revisions, revision), append(texts, text)
	}
	distinct := slices.Compact(revisions)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[target]++
	if len(distinct) != 1 || len(texts) != crowdSize {
		s.mixed = append(s.mixed, fmt.Sprintf("%s: %d rows of %v", target, len(texts), distinct))
		return
	}
	s.last[target], s.texts[target] = distinct[0], texts
}

// show reports whether all targets show a revision.
func (s *seen) show(revision string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last["db"] == revision && s.last["local"] == revision && s.last["search"] == revision
}

// say reports whether all targets show a note that says so.
func (s *seen) say(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, target := range []string{"db", "local", "search"} {
		if !slices.Contains(s.texts[target], text) {
			return false
		}
	}
	return true
}

const crowdSize = 40

// readers look at a target each, until ctx ends.
func (s *seen) readers(ctx context.Context, t *testing.T, postgres, file string, points *qdrant.Client, collection string) (wait func()) {
	db, err := pgx.Connect(t.Context(), postgres)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	look := func(target string, read func() ([]string, error)) {
		group.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond) // others want the processors too
			defer tick.Stop()
			for ; ctx.Err() == nil; <-tick.C {
				rows, err := read()
				if err != nil && ctx.Err() == nil {
					t.Errorf("read %s: %v", target, err)
					return
				}
				if err == nil {
					s.note(target, rows)
				}
			}
		})
	}
	look("db", func() ([]string, error) {
		rows, err := db.Query(ctx, "select revision || ' ' || text from e2e.notes")
		if err != nil {
			return nil, err
		}
		return pgx.CollectRows(rows, pgx.RowTo[string])
	})
	local := sql.OpenDB(readOnly{file})
	look("local", func() (all []string, err error) {
		rows, err := local.QueryContext(ctx, "select revision || ' ' || text from notes")
		if err != nil {
			return nil, err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return nil, err
			}
			all = append(all, text)
		}
		return all, rows.Err()
	})
	look("search", func() (all []string, err error) {
		limit := uint32(10 * crowdSize)
		found, err := points.Scroll(ctx, &qdrant.ScrollPoints{CollectionName: collection, WithPayload: qdrant.NewWithPayload(true), Limit: &limit})
		for _, p := range found {
			all = append(all, p.GetPayload()["revision"].GetStringValue()+" "+p.GetPayload()["text"].GetStringValue())
		}
		return all, err
	})
	return func() {
		group.Wait()
		_ = db.Close(context.WithoutCancel(t.Context()))
		_ = local.Close()
	}
}

// TestBlueGreen: a changed table is built beside the one that targets show, and fed with live changes as that is; promoted and rolled back, each
// answer of each target is of one revision, and nothing is evaluated for it.
func TestBlueGreen(t *testing.T) {
	t.Parallel() // it waits most of the time
	broker, db, server := testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t), testenv.Qdrant(t, testenv.QdrantOptions{})
	in := newTopic(t, broker, testenv.Name(t), 4)
	n := &notes{in: in, flow: strings.ReplaceAll(in.name, "_", "-"), url: db.URL}
	text := func(revision string) string { return rollingNotes(broker.Addr(), in.name, n.flow, revision) }
	n.project = newProject(t, text("one"))
	n.env = []string{"E2E_URL=" + db.URL, "QDRANT_URL=" + server.URL(), "FRESHET_PATIENCE=5s"}
	for id := range crowdSize {
		n.say(strconv.Itoa(id), "at first")
	}
	n.runOnce()
	replicas := []*process{n.run(), n.run("--replica", "1", "--role", "process", "--role", "sink:db", "--role", "sink:search")}
	s := &seen{last: map[string]string{}, texts: map[string][]string{}, answers: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	wait := s.readers(ctx, t, db.URL, filepath.Join(n.dir, "out.db"), qdrantClient(t, server.URL()), n.flow)
	until := func(what string, fn func() bool) {
		t.Helper()
		replicas[0].until(what, func(context.Context) bool { return fn() })
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	edits := 0
	edited := func(when string) {
		t.Helper()
		edits++
		said := fmt.Sprintf("edit %d", edits)
		n.say(strconv.Itoa(random.IntN(crowdSize)), said)
		until("an edit is shown "+when, func() bool { return s.say(said) })
	}
	until("all targets show the first edition", func() bool { return s.show("one") })
	edited("at first")

	n.write("flow.yaml", text("two"))
	n.apply(2)
	edited("while the second edition is built")
	n.compares()
	if text := n.command("status").reads(); !strings.Contains(text, "notes shows notes__1; notes__2 is kept beside it") {
		t.Errorf("status said: %s", text)
	}
	n.switches("promote", "notes shows notes__2")
	until("all targets show the second edition", func() bool { return s.show("two") })
	edited("after promotion")
	n.switches("rollback", "notes shows notes__1")
	until("all targets show the first edition again", func() bool { return s.show("one") })
	edited("after the rollback")
	n.switches("promote", "notes shows notes__2")
	until("all targets show the second edition again", func() bool { return s.show("two") })
	if counted := n.evaluated(); counted > 3 { // since this revision was taken over: at most an edit or two
		t.Errorf("switching evaluated %d documents", counted)
	}
	n.switches("retire", "notes shows notes__2")
	edited("when the first edition is given up")
	stop()
	wait()
	if len(s.mixed) > 0 {
		t.Errorf("%d of %v answers are not of one revision: %q", len(s.mixed), s.answers, s.mixed[:min(5, len(s.mixed))])
	}
	t.Logf("answers: %v", s.answers)
	for _, r := range replicas {
		r.stop()
		r.exits(0)
	}
	n.runOnce()
	for _, target := range []string{"db", "local", "search"} {
		n.clean(target, crowdSize)
	}
	n.write("flow.yaml", strings.Replace(text("two"), "  local:  { sqlite: { path: out.db }, tables: [notes] }\n", "", 1))
	n.apply(7, "--drop", "target:local")
	if rows, err := querySQLite(t.Context(), filepath.Join(n.dir, "out.db"), "notes"); err == nil {
		t.Errorf("a target that was dropped still shows %d rows", len(rows))
	}
}

// qdrantClient is a client of any program.
func qdrantClient(t *testing.T, address string) *qdrant.Client {
	t.Helper()
	at, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	client, err := qdrant.NewClient(&qdrant.Config{Host: at.Hostname(), Port: port, SkipCompatibilityCheck: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// compares checks that both editions find the same, which they are made from the same by.
func (p *project) compares() {
	p.t.Helper()
	p.write("queries.txt", "at first\n\nan edit\n")
	var found struct {
		Shown, Other    string
		Rows, Documents float64
		Queries         []struct{ Query string }
	}
	if err := json.Unmarshal([]byte(p.command("compare", "search", "--queries", "queries.txt", "-k", strconv.Itoa(crowdSize), "--json").reads()), &found); err != nil {
		p.t.Fatal(err)
	}
	if found.Shown != "notes__1" || found.Other != "notes__2" || found.Rows != 1 || found.Documents != 1 || len(found.Queries) != 2 {
		p.t.Errorf("compare found %+v", found)
	}
}

// evaluated is how many documents the running processes evaluated since they took their revision over.
func (p *project) evaluated() (n int64) {
	p.t.Helper()
	var status struct {
		Replicas []struct{ Counts struct{ Evaluated int64 } }
	}
	if err := json.Unmarshal([]byte(p.command("status", "--json").reads()), &status); err != nil {
		p.t.Fatal(err)
	}
	for _, r := range status.Replicas {
		n += r.Counts.Evaluated
	}
	return n
}

// TestBlueGreenDev: what `freshet dev` ran is promoted while it rests, and shown when it starts.
func TestBlueGreenDev(t *testing.T) {
	flow := strings.Replace(pageFlow, "pages:  {", "pages:  { rollout: blue-green,", 1)
	p := newProject(t, flow).pages()
	p.devOnce()
	before := p.rows("pages")
	p.write("flow.yaml", strings.Replace(flow, "title: parsed.title", `title: '"!"'`, 1))
	p.devOnce()
	same(t, "pages", p.rows("pages"), before)
	if text := p.command("promote", "--yes").reads(); !strings.Contains(text, "pages shows pages__2") {
		t.Errorf("promote said: %s", text)
	}
	if r := p.devOnce(); r.Documents != 0 {
		t.Errorf("promotion evaluated %d documents", r.Documents)
	}
	same(t, "pages", p.rows("pages"), p.rows("pages__2"))
	if now := p.rows("pages"); len(now) != len(before) || !strings.Contains(now[0], "!") {
		t.Errorf("the new edition is %q", now)
	}
	p.write("flow.yaml", "state: { rollback_retention: 1s }\n"+strings.Replace(flow, "title: parsed.title", `title: '"!"'`, 1))
	dev := p.dev()
	dev.until("the former edition is given up", func(context.Context) bool {
		text := p.command("status").reads()
		return strings.Contains(text, "pages shows pages__2") && !strings.Contains(text, "kept beside it")
	})
	dev.stop()
	dev.exits(0)
	if text := p.command("rollback", "--yes").reads(); !strings.Contains(text, "it is so already") {
		t.Errorf("rollback said: %s", text)
	}
}

// switches runs a command that switches fronts, and checks what it says.
func (p *project) switches(command, says string) {
	p.t.Helper()
	c := p.command(command, "--yes")
	if text := c.reads(); !strings.Contains(text, says) || strings.Contains(text, "not switched") {
		p.t.Errorf("%s said: %s", command, text)
	}
}
