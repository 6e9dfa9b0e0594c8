package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/schemas/fixtures"
	"github.com/freshet-dev/freshet/stream"
)

// recordings are what a real connector wrote.
const recordings = "../../schemas/testdata/debezium-postgres-json/"

// recorded says what becomes of a recorded topic.
type recorded struct {
	columns     []column
	other       int64 // events that change no row
	quarantined int   // changes without a key
}

// recordedTopics, by name without the connector's prefix. Columns that may hold infinity are declared as text.
var recordedTopics = map[string]recorded{
	"public.customers": {columns: slices.Concat(
		each("int", "id"), each("string", "name", "status"),
		each("string?", "email", "created_at", "updated_at", "birth", "wake_tz", "doc", "doc_json", "uid", "addr", "net", "rng", "xm", "ch", "tsv"),
		each("timestamp?", "ts3"), each("int?", "wake", "i2", "i4", "span", "oidcol"), each("decimal(2)?", "balance", "m"),
		each("decimal(9)?", "free_num"), each("bytes?", "blob", "b", "vb"), each("bool?", "ok"), each("double?", "f8", "f4"),
		each("list(string?)?", "tags", "uids", "moods"), each("list(int?)?", "nums"), each("list(decimal(2)?)?", "amounts"), each("dyn", "pt"))},
	"public.documents":      {columns: documentColumns},
	"public.documents_full": {columns: documentColumns},
	"public.order_lines": {columns: slices.Concat(each("int", "order_id", "line_no"), each("string?", "sku"), each("int?", "qty"),
		each("decimal(4)?", "price")), other: 1},
	"public.evolving":    {columns: slices.Concat(each("int", "id"), each("string?", "a", "c", "d"), each("int?", "b")), other: 1},
	"public.dbz_signal":  {columns: slices.Concat(each("string", "id", "type"), each("string?", "data"))},
	"public.events_nopk": {columns: each("string?", "kind"), other: 2, quarantined: 5},
	"message":            {columns: each("string?", "prefix"), other: 2},
	"transaction":        {columns: each("string?", "status"), other: 108},
	"heartbeat":          {columns: each("int?", "ts_ms"), other: 5},
}

var documentColumns = slices.Concat(each("string", "id"), each("string?", "title", "body", "meta"), each("int?", "version"))

// column is a declared field of a source.
type column struct{ name, kind string }

func each(kind string, names ...string) (out []column) {
	for _, n := range names {
		out = append(out, column{n, kind})
	}
	return out
}

// TestRecordings holds point 5: what a real connector wrote, with and without schemas, goes through flows as it is; the
// rows of every keyed table are those of an independent model; other events are counted.
func TestRecordings(t *testing.T) {
	for _, variant := range []string{"schemas-false", "schemas-true"} {
		t.Run(variant, func(t *testing.T) {
			topics, err := fixtures.Read(recordings + variant)
			if err != nil {
				t.Fatal(err)
			}
			if len(topics) != len(recordedTopics) {
				t.Errorf("%d topics recorded, %d expected", len(topics), len(recordedTopics))
			}
			for _, topic := range topics {
				_, name, _ := strings.Cut(topic.Name, ".")
				if strings.HasPrefix(topic.Name, "__debezium-heartbeat") {
					name = "heartbeat"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					recordedTopics[name].goesThrough(t, topic.Records)
				})
			}
		})
	}
}

func (c recorded) goesThrough(t *testing.T, records []fixtures.Record) {
	broker, db := testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t)
	in := newTopic(t, broker, testenv.Name(t), 1)
	flow := strings.ReplaceAll(in.name, "_", "-")
	p := newProject(t, c.flow(in, flow))
	p.env = []string{"E2E_URL=" + db.URL}

	// Rows that a truncate ends are compared as they are before it.
	upTo := untilTruncate(records)
	in.produce(verbatim(records[:upTo])...)
	first := p.run("--once", "--log-level", "info")
	first.exits(c.exitCode())
	c.compare(t, db, records[:upTo])
	if t.Failed() {
		t.Logf("what the first run said:\n%s", first.stderr.String())
	}
	in.produce(verbatim(records[upTo:])...)
	r := p.run("--once", "--json").reports(c.exitCode())
	if r.Quarantined != c.quarantined {
		t.Errorf("%d quarantined, want %d", r.Quarantined, c.quarantined)
	}
	if got := in.progress(flow).Counts.Other; got != c.other {
		t.Errorf("%d events of other kinds counted, want %d", got, c.other)
	}
}

func (c recorded) exitCode() int {
	if c.quarantined > 0 {
		return 3
	}
	return 0
}

// flow keeps all declared columns in a Postgres table.
func (c recorded) flow(in *topic, name string) string {
	var fields, columns []string
	for _, col := range c.columns {
		fields = append(fields, fmt.Sprintf("%s: '%s'", col.name, col.kind))
		columns = append(columns, fmt.Sprintf("%s: row.%s", col.name, col.name))
	}
	return fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"] }
sources:
  row:
    debezium: { topic: "%s", decimals: precise }
    fields: { %s }
tables:
  rows: { columns: { %s } }
targets:
  db: { postgres: { url: "env:E2E_URL", schema: e2e }, tables: [rows] }
`, name, in.addr, in.name, strings.Join(fields, ", "), strings.Join(columns, ", "))
}

func untilTruncate(records []fixtures.Record) int {
	for i, r := range records {
		if bytes.Contains(r.Value, []byte(`"op":"t"`)) {
			return i
		}
	}
	return len(records)
}

// verbatim are the records as they were recorded: key, value and headers.
func verbatim(records []fixtures.Record) (out []*kgo.Record) {
	for _, r := range records {
		k := &kgo.Record{Key: r.Key, Value: r.Value, Partition: r.Partition}
		for _, h := range r.Headers {
			k.Headers = append(k.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		out = append(out, k)
	}
	return out
}

// compare checks the table against the model's rows.
func (c recorded) compare(t *testing.T, db *testenv.Database, records []fixtures.Record) {
	t.Helper()
	c.compareTable(t, db, records, "e2e.rows")
}

func (c recorded) compareTable(t *testing.T, db *testenv.Database, records []fixtures.Record, table string) {
	t.Helper()
	model, err := fixtures.Model(records)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, row := range model.Rows {
		line := map[string]any{}
		for _, col := range c.columns {
			line[col.name] = expected(t, col.kind, row[col.name])
		}
		want = append(want, text(t, line))
	}
	slices.Sort(want)
	if c.other == 0 && len(want) == 0 {
		t.Error("the model has no rows: the comparison says nothing")
	}
	same(t, "rows", postgresRows(t, db.URL, table), want)
}

// postgresRows are the declared columns of a table, each row as JSON, sorted.
func postgresRows(t testing.TB, url, table string) (lines []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), "select row_to_json(x) from (select * from "+table+") x")
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range all {
		line := shortNumbers(parsed(t, raw), false).(map[string]any)
		maps.DeleteFunc(line, func(name string, _ any) bool { return strings.HasPrefix(name, "_") })
		lines = append(lines, text(t, line))
	}
	slices.Sort(lines)
	return lines
}

// progress is the newest progress record of a flow of one partition.
func (p *topic) progress(flow string) (last schemas.Progress) {
	p.t.Helper()
	for _, r := range p.committed(flow + ".changelog") {
		rec := &stream.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
		if !schemas.IsProgress(rec) {
			continue
		}
		var err error
		if last, err = schemas.DecodeProgress(rec); err != nil {
			p.t.Fatal(err)
		}
	}
	return last
}
