package flow

import (
	"context"
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// poor are calls that have no result of a costly node.
type poor struct{ *counted }

func (p poor) Call(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	if !n.Costly {
		return p.counted.Call(ctx, n, inputs)
	}
	out := make([]stream.Value, len(inputs))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inputs[n.Name] += len(inputs)
	for i, in := range inputs {
		of, stands := in.StandsIn()
		if !stands {
			of = n.MemoKey(in)
		}
		out[i] = stream.StandIn(of)
	}
	return out, nil
}

const poorFlow = `flow: poor
sources: { page: { files: { root: . } } }
models: { m: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, max_tokens: 32, each: chunk }
  vector: { op: embed, in: chunk.text, model: m }
  same:   { op: expr, in: vector }
  said:   { op: expr, in: 'string(vector == null) + chunk.text' }
  again:  { op: embed, in: said, model: m, when: 'size(chunk.text) > 12' }
tables:
  chunks: { for: chunk, key: chunk.id, columns: { text: chunk.text, v: vector, same: same, again: again } }
  titles: { columns: { title: body.title } }
`

// TestForesee: nodes that read what nobody computed are counted, and rows that wait for it are told apart.
func TestForesee(t *testing.T) {
	calls := poor{newCounted()}
	doc := page("a.md", "# One\n\nshort\n\n# Two\n\nthis one is longer\n")
	seen, err := mustParse(t, poorFlow).Program.Foresee(t.Context(), doc, calls)
	if err != nil || len(seen.Unsure) > 0 {
		t.Fatalf("%+v, %v", seen, err)
	}
	if calls.inputs["vector"] != 4 || calls.computed["said"] != 4 || calls.inputs["again"] != 1 {
		t.Errorf("inputs %v, formulas %v", calls.inputs, calls.computed)
	}
	for i, r := range seen.Rows {
		if known := r.Table == "titles"; seen.Known[i] != known {
			t.Errorf("known %t: %v", seen.Known[i], r)
		}
		if r.Table == "titles" {
			continue
		}
		same, passed := r.Columns[1].StandsIn()
		v, held := r.Columns[3].StandsIn()
		if r.Columns[2].Kind() != stream.String || !passed || !held || same != v {
			t.Errorf("columns again, same, text and v: %v", r.Columns)
		}
	}
}

// TestForeseeUnsure: what hangs on a result that nobody has is named.
func TestForeseeUnsure(t *testing.T) {
	for name, tt := range map[string]struct{ nodes, table, want string }{
		"condition": {"  again: { op: embed, in: chunk.text, model: m, when: vector != null }\n", "columns: { v: again }", "what `when` of node again says"},
		"rows":      {"", "where: vector != null, columns: { v: vector }", "what `where` of table chunks says"},
		"key":       {"", "columns: { v: vector } }\n  keyed: { for: chunk, key: 'string(vector == null) + chunk.id', columns: { v: chunk.text }", "what `key` of table keyed says"},
		"elements":  {"  both: { op: expr, in: '[vector, vector]', each: one }\n", "columns: { v: vector } }\n  ones: { for: one, key: 'chunk.id', columns: { v: one }", "how many elements node both gives"},
	} {
		t.Run(name, func(t *testing.T) {
			f := mustParse(t, "flow: unsure\nsources: { page: { files: { root: . } } }\nmodels: { m: { provider: hash } }\nnodes:\n"+
				"  body:   { op: parse.markdown, in: page.content }\n  chunks: { op: split.markdown, in: body, max_tokens: 32, each: chunk }\n"+
				"  vector: { op: embed, in: chunk.text, model: m }\n"+tt.nodes+"tables:\n  chunks: { for: chunk, key: chunk.id, "+tt.table+" }\n")
			seen, err := f.Program.Foresee(t.Context(), page("a.md", "# One\n\nfirst\n"), poor{newCounted()})
			if err != nil || !slices.Equal(seen.Unsure, []string{tt.want}) {
				t.Errorf("unsure of %q, %v, want %q", seen.Unsure, err, tt.want)
			}
		})
	}
}
