package e2e

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// twoTargets is noteFlow with a SQLite file beside Postgres.
func twoTargets(broker, topic, name string) string {
	return noteFlow(broker, topic, name) + "  local: { sqlite: { path: out.db }, tables: [notes] }\n"
}

// reset lets `freshet reset` succeed, and returns the new generation. Replicas that have ended stay in the group until
// their session ends.
func (n *notes) reset() int64 {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		c := n.command("reset", "--yes", "--json")
		c.wait()
		if c.cmd.ProcessState.ExitCode() == 0 {
			var done struct{ Generation int64 }
			if err := json.Unmarshal(c.stdout.Bytes(), &done); err != nil {
				n.t.Fatal(err)
			}
			return done.Generation
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.t.Fatalf("no reset: %s", c.stderr.String())
		}
	}
}

// filled are the rows of notes first to last, all with the text.
func filled(first, last int, text string) (rows []string) {
	for id := first; id <= last; id++ {
		rows = append(rows, fmt.Sprintf("note/%d %s", id, text))
	}
	return rows
}

func (n *notes) fill(first, last int, text string) {
	var records []*kgo.Record
	for id := first; id <= last; id++ {
		records = append(records, row("u", strconv.Itoa(id), fmt.Sprintf(`"text":%q`, text)))
	}
	n.in.produce(records...)
}

// drops deletes topics, and waits until they are gone.
func (p *topic) drops(names ...string) {
	p.t.Helper()
	if deleted, err := p.adm.DeleteTopics(p.t.Context(), names...); err != nil || deleted.Error() != nil {
		p.t.Fatal(err, deleted.Error())
	}
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		left := 0
		listed, err := p.adm.ListTopics(ctx, names...)
		for _, name := range names {
			if listed.Has(name) {
				left++
			}
		}
		if err == nil && left == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.t.Fatalf("topics %v stay (%v)", names, err)
		}
	}
}

// TestResetSweeps: a source that was created anew, smaller and with fewer notes, is refused until a reset. Then each target,
// also one that sleeps during the pass, ends with the new source's notes only; nothing is lost of them meanwhile.
func TestResetSweeps(t *testing.T) {
	broker, db := testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t)
	in := newTopic(t, broker, testenv.Name(t), 4)
	n := &notes{in: in, flow: "reset-" + in.name[len(in.name)-6:], url: db.URL}
	n.project = newProject(t, twoTargets(broker.Addr(), in.name, n.flow))
	n.env = []string{"E2E_URL=" + db.URL}
	postgres := func() []string { return postgresNotes(t, db.URL) }
	local := func() []string { return sqliteNotes(t, filepath.Join(n.dir, "out.db")) }

	n.fill(1, 24, "first")
	p := n.run()
	n.shows(p, "24", "first")
	n.command("reset", "--yes").complains(2, "run; stop them first")
	p.stop()
	p.exits(0)
	n.runOnce()
	same(t, "Postgres before", postgres(), sorted(filled(1, 24, "first")))
	same(t, "SQLite before", local(), sorted(filled(1, 24, "first")))

	in.drops(in.name)
	n.in = newTopic(t, broker, in.name, 2)
	n.fill(1, 10, "second")
	n.run("--once").complains(2, "topic "+in.name, "deleted and created anew", "freshet reset")
	same(t, "Postgres after the refusal", postgres(), sorted(filled(1, 24, "first")))
	if g := n.reset(); g != 2 {
		t.Errorf("generation %d, want 2", g)
	}
	n.runOnce("--targets", "db")
	same(t, "Postgres after the pass", postgres(), sorted(filled(1, 10, "second")))
	same(t, "SQLite, which sleeps", local(), sorted(filled(1, 24, "first")))
	n.fill(10, 10, "third")
	n.runOnce()
	want := sorted(append(filled(1, 9, "second"), filled(10, 10, "third")...))
	same(t, "Postgres at last", postgres(), want)
	same(t, "SQLite at last", local(), want)

	// All that the cluster knew of the flow is lost; the targets remember the generation.
	n.in.drops(n.flow+".meta", n.flow+".rows", n.flow+".changelog")
	n.forgets()
	p = n.run("--once")
	p.exits(1)
	if message := p.stderr.String(); !containsAll(message, []string{"of generation 2", "freshet reset"}) {
		t.Errorf("it says:\n%s", message)
	}
	t.Log(p.stderr.String())
	if g := n.reset(); g != 3 {
		t.Errorf("generation %d, want 3", g)
	}
	n.runOnce()
	same(t, "Postgres of generation 3", postgres(), want)
	same(t, "SQLite of generation 3", local(), want)
}

// forgets deletes the processors' group, once it is empty.
func (n *notes) forgets() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := n.in.adm.DeleteGroup(ctx, n.flow); err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			n.t.Fatal("the group stays")
		}
	}
}

func postgresNotes(t *testing.T, url string) (rows []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	found, err := conn.Query(t.Context(), "select _document || ' ' || text from e2e.notes")
	if err == nil {
		rows, err = pgx.CollectRows(found, pgx.RowTo[string])
	}
	if err != nil {
		t.Fatal(err)
	}
	return sorted(rows)
}

func sqliteNotes(t *testing.T, path string) (rows []string) {
	t.Helper()
	db := sql.OpenDB(readOnly{path})
	defer func() { _ = db.Close() }()
	found, err := db.QueryContext(t.Context(), "select _document || ' ' || text from notes")
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return sorted(rows)
}

func sorted(rows []string) []string {
	slices.Sort(rows)
	return rows
}
