package flow

import (
	"strings"
	"testing"
)

func TestSearchColumn(t *testing.T) {
	f := mustParse(t, `flow: simple
sources: { page: { files: { root: . } } }
models: { m: { provider: hash }, n: { provider: openai, base_url: "http://localhost:1/v1", model: other, dimensions: 4 } }
nodes:
  one:   { op: embed, in: page.path, model: m }
  two:   { op: embed, in: page.content, model: m }
  other: { op: embed, in: page.content, model: n }
  either: { op: expr, in: two.or(one) }
tables:
  alone:  { columns: { path: page.path, v: one } }
  same:   { columns: { v: either } }
  mixed:  { columns: { v: one.or(other) } }
  several: { columns: { a: one, b: other } }
  none:   { columns: { path: page.path } }
`)
	for _, tt := range []struct{ table, column, node, fault string }{
		{"alone", "", "v: one", ""},
		{"alone", "v", "v: one", ""},
		{"same", "", "v: one", ""},
		{"several", "b", "b: other", ""},
		{"several", "", "", "several vector columns; choose one with --column: a, b"},
		{"several", "c", "", `no vector column "c"`},
		{"alone", "path", "", `no vector column "path"`},
		{"mixed", "", "", "mixes the vectors of nodes one and other"},
		{"none", "", "", "no vector column"},
		{"nowhere", "", "", "it has: alone, mixed, none, same, several"},
	} {
		column, node, err := f.Program.SearchColumn(tt.table, tt.column)
		switch {
		case tt.fault != "":
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Errorf("%s.%s: got %v, want %s", tt.table, tt.column, err, tt.fault)
			}
		case err != nil || column+": "+node.Name != tt.node:
			t.Errorf("%s.%s: got %s, %v, %v; want %s", tt.table, tt.column, column, node, err, tt.node)
		}
	}
}
