package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// noteFlow keeps a column of a Debezium topic in Postgres, whose address is in E2E_URL.
func noteFlow(broker, topic, name string) string {
	return fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"] }
sources:
  note:
    debezium: { topic: "%s" }
    fields: { id: int, text: string }
tables:
  notes: { columns: { text: note.text } }
targets:
  db: { postgres: { url: "env:E2E_URL", schema: e2e }, tables: [notes] }
`, name, broker, topic)
}

// notes is a flow of noteFlow with its topic and database.
type notes struct {
	*project
	in   *topic
	flow string
	url  string
}

func newNotes(t *testing.T, broker *testenv.Broker, db *testenv.Database) *notes {
	in := newTopic(t, broker, testenv.Name(t), 2)
	n := &notes{in: in, flow: strings.ReplaceAll(in.name, "_", "-"), url: db.URL}
	n.project = newProject(t, noteFlow(broker.Addr(), in.name, n.flow))
	n.env = []string{"E2E_URL=" + db.URL}
	return n
}

// say changes a note.
func (n *notes) say(id, text string) { n.in.produce(row("u", id, fmt.Sprintf(`"text":%q`, text))) }

// says reads a note from Postgres; "" when it is not there, or Postgres is away.
func (n *notes) says(ctx context.Context, id string) (text string) {
	conn, err := pgx.Connect(ctx, n.url)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	_ = conn.QueryRow(ctx, "select text from e2e.notes where _document = $1", "note/"+id).Scan(&text) // no row: ""
	return text
}

// shows waits until a note is in Postgres.
func (n *notes) shows(p *process, id, text string) {
	n.t.Helper()
	p.until(fmt.Sprintf("note %s says %q", id, text), func(ctx context.Context) bool { return n.says(ctx, id) == text })
}

// holds checks a note after a run that has ended.
func (n *notes) holds(id, text string) {
	n.t.Helper()
	if got := n.says(n.t.Context(), id); got != text {
		n.t.Errorf("note %s says %q, want %q", id, got, text)
	}
}

// TestTenFaults holds point 6: one file with ten faults gives ten positions, and exit code 2.
func TestTenFaults(t *testing.T) {
	const file = "../../flow/testdata/ten.bad.yaml"
	want, err := os.ReadFile("../../flow/testdata/ten.bad.golden")
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, filepath.Dir(file), nil, "validate", "-f", filepath.Base(file))
	p.exits(2)
	if got := p.stderr.String(); got != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if n := strings.Count(string(want), "\n"); n != 10 {
		t.Errorf("%d positions, want 10", n)
	}
}

// TestBrokerAwayAtStart holds point 6: exit code 1 within 10 s, and one clear message. The time is a stated limit.
func TestBrokerAwayAtStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p := newProject(t, noteFlow(address, "notes", "away")).run()
	p.complains(1, address)
	if took := p.end.Sub(p.began); took > 10*time.Second {
		t.Errorf("it took %v, want at most 10 s", took)
	}
}

// TestBrokerAwayWhileRunning holds point 6: the process waits and goes on; nothing is lost.
func TestBrokerAwayWhileRunning(t *testing.T) {
	broker := testenv.Kafka(t, testenv.KafkaOptions{})
	n := newNotes(t, broker, testenv.SharedPostgres(t).NewDatabase(t))
	p := n.run()
	n.say("1", "before")
	n.shows(p, "1", "before")
	for round := range 2 {
		text := fmt.Sprintf("round %d", round)
		n.say("2", "sent just before the kill of "+text)
		broker.Kill()
		broker.Start(t)
		n.say("1", text)
		n.shows(p, "1", text)
		n.shows(p, "2", "sent just before the kill of "+text)
	}
	p.stop()
	p.exits(0)
}

// TestPostgresAwayAtStart holds point 6: a target that is away is waited for, and only its lag grows.
func TestPostgresAwayAtStart(t *testing.T) {
	server := testenv.Postgres(t)
	n := newNotes(t, testenv.SharedKafka(t), server.NewDatabase(t))
	server.Stop()
	n.say("1", "while away")
	p := n.run()
	p.until("the change is processed without its target", func(context.Context) bool { return n.in.offset(n.flow) == 1 })
	server.Start(t)
	n.shows(p, "1", "while away")
}

// TestPostgresAwayWhileRunning holds point 6 for a target that is killed under way.
func TestPostgresAwayWhileRunning(t *testing.T) {
	server := testenv.Postgres(t)
	n := newNotes(t, testenv.SharedKafka(t), server.NewDatabase(t))
	p := n.run()
	n.say("1", "before")
	n.shows(p, "1", "before")
	server.Kill()
	n.say("1", "while away")
	p.until("the change is processed without its target", func(context.Context) bool { return n.in.offset(n.flow) == 2 })
	server.Start(t)
	n.shows(p, "1", "while away")
}

// offset is how many source records a flow's processor has committed.
func (p *topic) offset(flow string) (sum int64) {
	offsets, err := p.adm.FetchOffsets(p.t.Context(), flow)
	if err != nil {
		return -1
	}
	for _, partitions := range offsets {
		for _, o := range partitions {
			sum += max(0, o.At)
		}
	}
	return sum
}

// TestWrongPassword holds point 6: one clear message without the password, exit code 1; with the right one nothing is
// missing.
func TestWrongPassword(t *testing.T) {
	n := newNotes(t, testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t))
	n.say("1", "kept")
	right := n.env
	password := testenv.SharedPostgres(t).Password()
	n.env = []string{"E2E_URL=" + strings.Replace(n.url, password, "hunter2", 1)}
	p := n.run("--once")
	p.complains(1, "password", "db")
	if strings.Contains(p.stderr.String(), "hunter2") {
		t.Error("the message holds the password")
	}
	n.env = right
	n.runOnce()
	n.holds("1", "kept")
}

// TestTargetOfAnotherShape holds point 6: a table that something else made, or that was altered by hand, is refused by
// name; once it is out of the way nothing is missing.
func TestTargetOfAnotherShape(t *testing.T) {
	db := testenv.SharedPostgres(t).NewDatabase(t)
	n := newNotes(t, testenv.SharedKafka(t), db)
	db.Exec(t, "create schema e2e; create table e2e.notes (mine int)")
	n.say("1", "kept")
	n.run("--once").complains(1, "notes", "db")

	db.Exec(t, "drop table e2e.notes")
	n.runOnce()
	n.holds("1", "kept")

	db.Exec(t, "alter table e2e.notes add column mine int")
	n.say("1", "newer")
	n.run("--once").complains(1, "notes", "mine")
	db.Exec(t, "alter table e2e.notes drop column mine")
	n.runOnce()
	n.holds("1", "newer")
}

// TestRootMissing holds point 6: a root that is absent or no directory is one clear message with exit code 1, and no
// file of it counts as deleted.
func TestRootMissing(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	p.devOnce()
	before := p.rows("chunks")
	docs, aside := filepath.Join(p.dir, "docs"), filepath.Join(p.dir, "aside")
	if err := os.Rename(docs, aside); err != nil {
		t.Fatal(err)
	}
	p.dev("--once").complains(1, "docs")
	p.write("docs", "a file")
	p.dev("--once").complains(1, "docs")
	p.remove("docs")
	if os.Geteuid() != 0 { // root reads everything
		if err := os.Mkdir(docs, 0o000); err != nil {
			t.Fatal(err)
		}
		p.dev("--once").complains(1, "docs")
		p.remove("docs")
	}
	same(t, "chunks", p.rows("chunks"), before)
	if err := os.Rename(aside, docs); err != nil {
		t.Fatal(err)
	}
	if r := p.devOnce(); r.Deleted != 0 || r.Documents != 0 {
		t.Errorf("after the root came back: %+v", r)
	}
	p.sameAsFresh(tables...)
}
