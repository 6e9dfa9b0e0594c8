package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// tickets is the source's table; its body lies outside of the row, so that updates leave it out when it is unchanged.
const tickets = `create table tickets (id int primary key, title text not null, body text not null, note text);
alter table tickets alter column body set storage external;
insert into tickets values (1, 'Rivers', repeat('The river carries what it is given. ', 300), 'a'),
	(2, 'Lakes', 'Lakes keep what they are given.', 'b'), (3, 'Salt', 'The sea is salt.', 'c');`

// TestLive is the whole way with nothing played: rows of a Postgres table, written to Kafka by Debezium, become rows with
// vectors in another database; inserts, updates (one leaves the large column out), a key change and a delete arrive.
func TestLive(t *testing.T) {
	broker, server := testenv.SharedKafka(t), testenv.SharedPostgres(t)
	from, to := server.NewDatabase(t), server.NewDatabase(t)
	from.Exec(t, tickets)
	prefix := testenv.Name(t)
	connect := testenv.Connect(t, broker)
	connect.PutConnector(t, prefix, testenv.DebeziumPostgres(from, prefix, 2))

	openTopic(t, broker, prefix+".public.tickets").appears()

	p := newProject(t, liveFlow(broker.Addr(), prefix))
	p.env = []string{"E2E_URL=" + to.URL}
	f := p.run()
	l := &live{t, f, from, to}
	l.arrives("1 Rivers", "2 Lakes", "3 Salt")
	longer := l.chunks(1)
	if longer < 2 {
		t.Fatalf("the large document has %d chunks: the test says nothing", longer)
	}

	from.Exec(t, `insert into tickets values (4, 'Bends', 'A bend is where the water takes its time.', 'd')`)
	l.arrives("1 Rivers", "2 Lakes", "3 Salt", "4 Bends")
	from.Exec(t, `update tickets set title = 'Streams' where id = 1`)
	l.arrives("1 Streams", "2 Lakes", "3 Salt", "4 Bends")
	if n := l.chunks(1); n != longer {
		t.Errorf("the column that was left out: %d chunks, want %d", n, longer)
	}
	from.Exec(t, `update tickets set id = 20 where id = 2`)
	l.arrives("1 Streams", "20 Lakes", "3 Salt", "4 Bends")
	from.Exec(t, `begin; update tickets set title = 'never' where id = 4; rollback`)
	from.Exec(t, `delete from tickets where id = 3`)
	l.arrives("1 Streams", "20 Lakes", "4 Bends")
	from.Exec(t, `update tickets set body = 'Short now.' where id = 1`)
	f.until("one chunk is left", func(context.Context) bool { return l.chunks(1) == 1 })
	f.stop()
	f.exits(0)
	l.whole()
}

func liveFlow(broker, prefix string) string {
	return fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"] }
sources:
  ticket:
    debezium: { topic: "%s.public.tickets" }
    fields: { id: int, title: string, body: string, note: 'string?' }
models: { lexical: { provider: hash } }
nodes:
  text:   { op: parse.text, in: ticket.body }
  chunks: { op: split.text, in: text, max_tokens: 64, each: chunk }
  vector: { op: embed, in: chunk.text, model: lexical }
tables:
  tickets: { columns: { id: ticket.id, title: ticket.title, body: ticket.body, parts: 'size(chunks)' } }
  parts:   { for: chunk, key: chunk.id, columns: { id: ticket.id, text: chunk.text, embedding: vector } }
targets:
  search: { postgres: { url: "env:E2E_URL", schema: e2e }, tables: { tickets: {}, parts: { hnsw: [embedding] } } }
`, strings.ReplaceAll(prefix, "_", "-"), broker, prefix)
}

// live is a running flow between two databases.
type live struct {
	t        *testing.T
	f        *process
	from, to *testenv.Database
}

// arrives waits until the target's tickets are these.
func (l *live) arrives(want ...string) {
	l.t.Helper()
	slices.Sort(want)
	l.f.until(fmt.Sprint("the target holds ", want), func(ctx context.Context) bool {
		got, err := query(ctx, l.to, `select id || ' ' || title from e2e.tickets`)
		slices.Sort(got)
		return err == nil && slices.Equal(got, want) // an error: the table is not there yet
	})
}

func (l *live) chunks(id int) int {
	l.t.Helper()
	got, err := query(l.t.Context(), l.to, fmt.Sprintf(`select text from e2e.parts where id = %d`, id))
	if err != nil {
		l.t.Fatal(err)
	}
	return len(got)
}

// whole compares the target with the source, the vectors with the texts.
func (l *live) whole() {
	l.t.Helper()
	const columns = `select concat_ws('|', id, title, body) from `
	got, err := query(l.t.Context(), l.to, columns+"e2e.tickets")
	if err != nil {
		l.t.Fatal(err)
	}
	want, err := query(l.t.Context(), l.from, columns+"tickets")
	if err != nil {
		l.t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	same(l.t, "tickets", got, want)
	odd, err := query(l.t.Context(), l.to, `select t.id || '' from e2e.tickets t where t.parts <> (select count(*) from e2e.parts p
		where p._document = t._document and vector_dims(p.embedding) = 256 and vector_norm(p.embedding) between 0.99 and 1.01)`)
	if err != nil || len(odd) > 0 {
		l.t.Errorf("tickets without all of their vectors: %v (%v)", odd, err)
	}
}

func query(ctx context.Context, db *testenv.Database, sql string) ([]string, error) {
	conn, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
