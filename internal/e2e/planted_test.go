package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestVerifyTopic: each kind of difference, planted on a topic by a producer that knows nothing of Freshet, is found and repaired.
func TestVerifyTopic(t *testing.T) {
	broker := testenv.SharedKafka(t)
	name := strings.ReplaceAll(testenv.Name(t), "_", "-")
	p := newProject(t, fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"], partitions: 3 }
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets: { out: { topic: { prefix: "%s." }, tables: [pages] } }
`, name, broker.Addr(), name))
	for _, name := range []string{"a", "b", "c", "d"} {
		p.write("docs/"+name+".md", "Herons fish at dawn, says "+name+".")
	}
	p.runOnce()
	p.clean("out", 4)

	out := openTopic(t, broker, name+".pages")
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	plant := func(document string, change func(r *kgo.Record)) {
		t.Helper()
		for _, r := range out.committed(out.name) {
			if strings.Contains(string(r.Key), document) {
				planted := &kgo.Record{Topic: out.name, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers}
				change(planted)
				if err := cl.ProduceSync(t.Context(), planted).FirstErr(); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatalf("no record of %s", document)
	}
	edit := func(pattern, by string) func(r *kgo.Record) {
		return func(r *kgo.Record) {
			before := string(r.Value)
			if r.Value = []byte(regexp.MustCompile(pattern).ReplaceAllLiteralString(before, by)); string(r.Value) == before {
				t.Fatalf("%q is not in %s", pattern, before)
			}
		}
	}
	plant("page/a.md", func(r *kgo.Record) { r.Value = nil })
	plant("page/b.md", edit("Herons", "Storks"))
	plant("page/c.md", edit(`"embedding":"?[^,"]+`, `"embedding":[1`))
	p.finds("out", "column page/b.md text", "missing page/a.md", "vector page/c.md embedding")
	p.repairs("out", 3, p.partitions("out")...)
	p.clean("out", 4)

	plant("page/d.md", func(r *kgo.Record) { older(r) })
	plant("page/d.md", func(r *kgo.Record) { r.Key = []byte(`["page/none.md",""]`) })
	p.finds("out", "extra page/none.md", "version page/d.md")
	p.repairs("out", 2)
	p.clean("out", 4)
}

// older gives a record the version before its own.
func older(r *kgo.Record) {
	for i, h := range r.Headers {
		if h.Key == "freshet.version" {
			var version int64
			_, _ = fmt.Sscan(string(h.Value), &version) // 0 is older, too
			r.Headers[i].Value = fmt.Append(nil, version-1)
		}
	}
}
