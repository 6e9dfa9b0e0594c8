package cli

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/stream"
)

const historyFlow = `
flow: history
kafka: { partitions: 4 }
sources:
  page: { files: { root: ., include: ["**/*.md", "**/*.mdx"] } }
models:
  small: { provider: openai, base_url: "BASE", model: stub, dimensions: 8 }
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
  local: { sqlite: { path: unused.db }, tables: [chunks] }
`

// corpora are real documentation histories, which lie beside the repository.
var corpora = []string{"cocoindex-docs.ndjson.gz", "prometheus-docs.ndjson.gz"}

// TestHistory replays real histories in four partitions, with a new process every 50 commits. A model of the flow that
// shares nothing with the engine says what each commit must do to the table, and which texts may be embedded; a stub of
// the model server counts what is embedded.
func TestHistory(t *testing.T) {
	for _, name := range corpora {
		t.Run(name, func(t *testing.T) {
			corpus, err := filepath.Abs(filepath.Join("..", "..", "shared", "corpus", name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(corpus); err != nil {
				t.Skipf("the corpus %s is not beside the repository", name)
			}
			replayAgainstModel(t, corpus)
		})
	}
}

func replayAgainstModel(t *testing.T, corpus string) {
	server := newVectorServer(t)
	flowFile := filepath.Join(t.TempDir(), "flow.yaml")
	if err := os.WriteFile(flowFile, []byte(strings.ReplaceAll(historyFlow, "BASE", server.URL)), 0o644); err != nil {
		t.Fatal(err)
	}
	m := newFlowModel(t, server.vector)
	var embedded, unheld, unseen, wrong int
	b := historyBench{corpus: corpus, check: true, restartEvery: 50, options: options{program: program{registry: registry()}, flowFile: flowFile,
		dataDir: filepath.Join(t.TempDir(), "data"), log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}}
	b.done = func(c history.Commit, r history.CommitReport) {
		want := m.commit(c.Edits)
		sent := server.texts() - embedded
		embedded, unheld, unseen = embedded+sent, unheld+want.unheld, unseen+want.unseen
		table := r.Tables["chunks"]
		if int(table.Upserts) != want.upserts || int(table.Deletes) != want.deletes {
			t.Errorf("commit %s: %d upserts and %d deletes, want %d and %d", c.ID, table.Upserts, table.Deletes, want.upserts, want.deletes)
			wrong++
		}
		if sent > want.unheld || sent != want.unseen || int(r.Nodes["vector"].Computed) != sent {
			t.Errorf("commit %s: %d texts embedded, %d reported; %d are new, %d never seen", c.ID, sent, r.Nodes["vector"].Computed, want.unheld, want.unseen)
			wrong++
		}
		if int(r.Inputs.Unheld) != want.unheld || int(r.Inputs.Unseen) != want.unseen {
			t.Errorf("commit %s: the ledger counts %d new texts and %d never seen, want %d and %d", c.ID, r.Inputs.Unheld, r.Inputs.Unseen, want.unheld, want.unseen)
			wrong++
		}
		if wrong > 10 {
			t.FailNow()
		}
	}
	report, err := b.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkOutcome(t, &report, m)
	checkRows(t, &b, m)
	if embedded > unheld || unseen < unheld && embedded == unheld {
		t.Errorf("%d texts embedded, of %d that no live document held, %d of them never seen", embedded, unheld, unseen)
	}
	// After the replay only the build from scratch may ask the server, once for each text.
	if n := server.texts() - embedded; n != m.texts() {
		t.Errorf("the last state, published again and built from scratch, embedded %d texts, want %d", n, m.texts())
	}
	t.Logf("%d texts embedded; %d that no live document held before their commit, %d of them never seen", embedded, unheld, unseen)
	report.Print(t.Output(), false)
}

func checkOutcome(t *testing.T, report *history.Report, m *flowModel) {
	t.Helper()
	c := report.Total.Check
	if !c.OK() || c.Quarantined != 0 || report.Total.Quarantined != 0 {
		t.Errorf("check: %+v", c)
	}
	if d := c.Tables["history.chunks"]; int(d.Rows) != m.rows() || int(report.Total.Tables["chunks"].Rows) != m.rows() {
		t.Errorf("%d rows compared, %d reported, want %d", d.Rows, report.Total.Tables["chunks"].Rows, m.rows())
	}
	if int(c.Again.Documents) != len(m.held) || report.Total.State.Bytes == 0 || report.Total.State.VectorBytes != int64(m.rows()*8*4) {
		t.Errorf("total: %+v", report.Total)
	}
}

// checkRows compares the target with the model's last state, column by column.
func checkRows(t *testing.T, b *historyBench, m *flowModel) {
	t.Helper()
	err := b.read(t.Context(), b.into[0], func(r stream.Reader) error {
		return r.ReadRows(t.Context(), "chunks", func(w stream.RowWrite) error {
			if want, ok := m.row(w.Document, w.Key); !ok || !stream.ListOf(w.Columns...).Equal(want) {
				t.Errorf("row %s %s is %v, want %v", w.Document, w.Key, w.Columns, want)
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}
