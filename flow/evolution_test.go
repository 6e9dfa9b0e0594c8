package flow

import (
	"slices"
	"strings"
	"testing"
)

// evolutions are changes of handbook, and what they do to tables and targets: name and effect.
var evolutions = []struct {
	name    string
	change  []string // old, new, old, new ...
	want    []string
	unknown []string // where the flow before can't be read
}{
	{"nothing", nil, nil, nil},
	{"names and a formula", []string{"chunk.", "piece.", "each: chunk", "each: piece", "for: chunk", "for: piece", `"\n"`, `" "`}, nil, []string{"table:chunks destructive"}},
	{"what lies above the key", []string{"256", "512"}, nil, nil},
	{"a condition", []string{".or(false) == false", ".or(true) == false"}, nil, []string{"table:chunks destructive"}},
	{"a column added", []string{"path: page.path", "path: page.path, ext: page.ext"}, []string{"column:chunks.ext rebuild"}, []string{"table:chunks destructive"}},
	{"a column removed", []string{"path: page.path, ", ""}, []string{"column:chunks.path destructive"}, []string{"table:chunks destructive"}},
	{"a column renamed", []string{"path: page.path", "file: page.path"}, []string{"column:chunks.file rebuild", "column:chunks.path destructive"}, []string{"table:chunks destructive"}},
	{"a column retyped", []string{"path: page.path", "path: size(page.path)"}, []string{"column:chunks.path destructive"}, []string{"table:chunks destructive"}},
	{"a column that may be null", []string{"path: page.path", "path: 'page.ext == \"md\" ? page.path : null'"}, []string{"column:chunks.path rebuild"}, []string{"table:chunks destructive"}},
	{"other dimensions", []string{"dimensions: 4", "dimensions: 8"}, []string{"column:chunks.embedding destructive"}, []string{"table:chunks destructive"}},
	{"another key", []string{"key: chunk.id", "key: chunk.text"}, []string{"key:chunks destructive"}, []string{"table:chunks destructive"}},
	{"a table added", []string{"tables:\n", "tables:\n  pages: { columns: { p: page.path } }\n", "[chunks]", "[chunks, pages]"},
		[]string{"table:pages safe", "target:local.pages rebuild"}, []string{"table:pages safe", "target:local.pages rebuild"}},
	{"a table renamed", []string{"tables:\n  chunks:", "tables:\n  parts:", "[chunks]", "[parts]"},
		[]string{"table:parts safe", "table:chunks destructive", "target:local.parts rebuild", "target:local.chunks safe"},
		[]string{"table:parts safe", "table:chunks destructive", "target:local.parts rebuild", "target:local.chunks safe"}},
	{"a target added", []string{"targets: {", "targets: { more: { sqlite: { path: more.db }, tables: [chunks] }, "}, []string{"target:more safe"}, []string{"target:more safe"}},
	{"a target renamed", []string{"local:", "other:"}, []string{"target:other safe", "target:local safe"}, []string{"target:other safe", "target:local safe"}},
}

func TestEvolution(t *testing.T) {
	old := mustParse(t, handbook)
	for _, c := range evolutions {
		t.Run(c.name, func(t *testing.T) {
			f := mustParse(t, strings.NewReplacer(c.change...).Replace(handbook))
			if got := effects(f.Evolution(old.Declaration(), old)); !slices.Equal(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
			if got := effects(f.Evolution(old.Declaration(), nil)); !slices.Equal(got, c.unknown) {
				t.Errorf("of a flow that can't be read: %q, want %q", got, c.unknown)
			}
		})
	}
}

func effects(all []Evolution) (out []string) {
	for _, e := range all {
		out = append(out, e.Name+" "+string(e.Effect))
	}
	return out
}

// TestSourcesEvolve: a source that leaves takes its documents along, so it has to be named; one that reads another topic is told.
func TestSourcesEvolve(t *testing.T) {
	full := several(t)
	fewer := several(t, "  person: { debezium: { topic: shop.people }, fields: { name: string } }\n", "", ", person: null", "", "  people: { columns: { name: person.name } }\n", "")
	if got := Destroyed(fewer.Evolution(full.Declaration(), full)); !slices.Equal(got, []string{"source:person", "table:people"}) {
		t.Errorf("a source left: %q", got)
	}
	if got := effects(full.Evolution(fewer.Declaration(), fewer)); !slices.Equal(got, []string{"source:person safe", "table:people safe"}) {
		t.Errorf("a source joined: %q", got)
	}
	if fewer.Program.HasSource("person") || !fewer.Program.HasSource("ticket") {
		t.Error("the program takes a source that left for its own, or the other way round")
	}
	if got := several(t, "shop.people", "shop.persons").Moved(full); !slices.Equal(got, []string{"person"}) || full.Moved(fewer) != nil {
		t.Errorf("another topic: %q", got)
	}
}

// TestTheOnlySourceIsRenamed: its documents have its name in their IDs.
func TestTheOnlySourceIsRenamed(t *testing.T) {
	old := mustParse(t, handbook).Declaration()
	if got := mustParse(t, strings.NewReplacer("page:", "leaf:", "page.", "leaf.").Replace(handbook)).Declaration().Renamed(old); !slices.Equal(got, []string{"leaf"}) {
		t.Errorf("%q", got)
	}
	if got := several(t).Declaration().Renamed(old); got != nil {
		t.Errorf("one became several: %q", got)
	}
}

// TestEditionsDestroyNothing: another edition of a table that rolls out leaves the one that targets show as it is.
func TestEditionsDestroyNothing(t *testing.T) {
	old := mustParse(t, rolling("100", "text: chunk.text, n: size(chunk.text)"))
	f := mustParse(t, strings.Replace(rolling("2", "text: chunk.text, path: page.path"), "key: chunk.id", "key: chunk.text", 1))
	want := []string{"table:chunks safe"}
	if got := effects(f.Evolution(old.Declaration(), old)); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := effects(old.Evolution(old.Declaration(), old)); len(got) > 0 {
		t.Errorf("without a change: %q", got)
	}
}
