package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// ticketFlow reads tickets from a Debezium topic, embeds their paragraphs at a counting model server, and keeps them in
// SQLite. input is the formula of what is embedded; more are further columns of the table.
func ticketFlow(p *topic, m *modelServer, name, input, more string) string {
	return fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"] }
sources:
  ticket:
    debezium: { topic: "%s" }
models: { stub: { provider: openai, base_url: "%s", model: one, dimensions: %d } }
nodes:
  text:   { op: parse.text, in: 'string(ticket.body)' }
  chunks: { op: split.text, in: text, max_tokens: 16, each: chunk }
  input:  { op: expr, in: '%s' }
  vector: { op: embed, in: input, model: stub }
tables:
  parts:
    for: chunk
    key: chunk.id
    columns: { title: 'string(ticket.title)', text: chunk.text, vector: vector%s }
targets:
  local: { sqlite: { path: out.db }, tables: [parts] }
`, name, p.addr, p.name, m.URL, dimensions, input, more)
}

// body has three paragraphs, each a chunk of its own.
const body = `One says that the river rises in the hills behind the town.\n\nTwo says that the river bends around the town with the tower.\n\nThree says that the river ends where the sea begins to smell.`

// ticket is an event of ticket 1; text is a JSON string's inside.
func ticket(op, title, text, note string) *kgo.Record {
	return row(op, "1", fmt.Sprintf(`"title":"%s","body":"%s","note":"%s"`, title, text, note))
}

// TestUnreadColumn holds point 2 of what must hold: a column that no formula reads is stored, and leads to no evaluation
// and no row record.
func TestUnreadColumn(t *testing.T) {
	m, in := newModelServer(t), newTopic(t, testenv.SharedKafka(t), testenv.Name(t), 2)
	flow := strings.ReplaceAll(testenv.Name(t), "_", "-")
	p := newProject(t, ticketFlow(in, m, flow, "chunk.text", ""))
	in.produce(ticket("c", "Rivers", body, "first"))
	if r := p.runOnce(); r.Documents != 1 || r.Tables["parts"].Upserts != 3 {
		t.Fatalf("the first run: %+v", r)
	}
	if n := len(m.taken()); n != 3 {
		t.Fatalf("%d inputs embedded, want 3", n)
	}
	before := in.rowRecords(flow)
	rows := p.rows("parts")

	in.produce(ticket("u", "Rivers", body, "second"))
	r := p.runOnce()
	if r.Documents != 0 || r.Tables["parts"].Upserts != 0 {
		t.Errorf("a column that no formula reads: %+v", r)
	}
	if n := in.rowRecords(flow) - before; n != 0 {
		t.Errorf("%d row records at the broker, want 0", n)
	}
	same(t, "parts", p.rows("parts"), rows)

	// That it was stored shows when a later flow reads it: the topic isn't read again.
	p.write("flow.yaml", ticketFlow(in, m, flow, "chunk.text", ", note: 'string(ticket.note)'"))
	p.apply(2)
	if r := p.runOnce(); r.Nodes["vector"].Computed != 0 {
		t.Errorf("a column more made the model compute: %+v", r)
	}
	if got := p.rows("parts"); len(got) != 3 {
		t.Errorf("%d rows, want 3", len(got))
	}
	holds(t, p.rows("parts"), "note=second", "title=Rivers")
	if in := m.taken(); len(in) != 0 {
		t.Errorf("embedded again: %q", in)
	}
}

// TestTitle holds point 2: a title that rows carry rewrites the rows, and nothing is embedded unless the embedding's
// input has the title in it.
func TestTitle(t *testing.T) {
	for name, c := range map[string]struct {
		input    string
		embedded int
	}{
		"beside the input": {"chunk.text", 0},
		"in the input":     {"string(ticket.title) + chunk.text", 3},
	} {
		t.Run(name, func(t *testing.T) {
			m, in := newModelServer(t), newTopic(t, testenv.SharedKafka(t), testenv.Name(t), 2)
			flow := strings.ReplaceAll(testenv.Name(t), "_", "-")
			p := newProject(t, ticketFlow(in, m, flow, c.input, ""))
			in.produce(ticket("c", "Rivers", body, ""))
			p.runOnce()
			m.taken()
			before := in.rowRecords(flow)

			in.produce(ticket("u", "Streams", body, ""))
			p.runOnce()
			if n := in.rowRecords(flow) - before; n != 3 {
				t.Errorf("%d row records at the broker, want the 3 rows that carry the title", n)
			}
			if in := m.taken(); len(in) != c.embedded {
				t.Errorf("embedded %q, want %d inputs", in, c.embedded)
			}
			for _, row := range p.rows("parts") {
				if !strings.Contains(row, "title=Streams") {
					t.Errorf("the row kept the old title: %s", row)
				}
			}
		})
	}
}

// TestUnavailableInOneBatch holds point 2: of two changes of a document in one batch, the first brings the body, the
// second the title with the body left out as unchanged; both arrive.
func TestUnavailableInOneBatch(t *testing.T) {
	m, in := newModelServer(t), newTopic(t, testenv.SharedKafka(t), testenv.Name(t), 2)
	p := newProject(t, ticketFlow(in, m, strings.ReplaceAll(testenv.Name(t), "_", "-"), "chunk.text", ""))
	in.produce(ticket("c", "Rivers", body, ""))
	p.runOnce()
	in.produce(
		ticket("u", "Rivers", "Four says that the river was here.", ""),
		ticket("u", "Streams", "__debezium_unavailable_value", ""))
	p.runOnce()
	rows := p.rows("parts")
	if len(rows) != 1 {
		t.Errorf("%d rows, want 1: %q", len(rows), rows)
	}
	holds(t, rows, "title=Streams", "text=Four says")
}

// TestFrontMatter holds point 2: front matter that no formula reads leads to no row record, and to no embedding.
func TestFrontMatter(t *testing.T) {
	m := newModelServer(t)
	flow := strings.ReplaceAll(testenv.Name(t), "_", "-")
	broker := testenv.SharedKafka(t)
	p := newProject(t, fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"], partitions: 2 }
sources:
  page: { files: { root: docs, include: ["**/*.md"] } }
models: { stub: { provider: openai, base_url: "%s", model: one, dimensions: %d } }
nodes:
  parsed: { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: parsed, max_tokens: 32, each: chunk }
  vector: { op: embed, in: chunk.text, model: stub }
tables:
  parts: { for: chunk, key: chunk.id, columns: { title: parsed.title, text: chunk.text, vector: vector } }
targets:
  local: { sqlite: { path: out.db }, tables: [parts] }
`, flow, broker.Addr(), m.URL, dimensions))
	const page = "# Rivers\n\nThey rise.\n\n## Bends\n\nThey bend.\n"
	p.write("docs/rivers.md", "---\nreviewed: 2026-01-01\n---\n"+page)
	p.runOnce()
	if n := len(m.taken()); n == 0 {
		t.Fatal("nothing was embedded: the test says nothing")
	}
	in := newTopic(t, broker, testenv.Name(t), 1)
	before, rows := in.rowRecords(flow), p.rows("parts")

	p.write("docs/rivers.md", "---\nreviewed: 2026-02-02\nby: the gauge\n---\n"+page)
	r := p.runOnce()
	if r.Documents != 1 || r.Nodes["vector"].Computed != 0 || r.Tables["parts"].Upserts+r.Tables["parts"].Deletes != 0 {
		t.Errorf("another front matter: %+v", r)
	}
	if n := in.rowRecords(flow) - before; n != 0 {
		t.Errorf("%d row records at the broker, want 0", n)
	}
	if in := m.taken(); len(in) != 0 {
		t.Errorf("embedded again: %q", in)
	}
	same(t, "parts", p.rows("parts"), rows)
}
