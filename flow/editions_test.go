package flow

import (
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// rolling is a flow whose table of chunks rolls out, and which cuts at so many tokens.
func rolling(tokens, columns string) string {
	return `flow: rolling
sources: { page: { files: { root: . } } }
models: { m: { provider: hash } }
nodes:
  body: { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, max_tokens: ` + tokens + `, each: chunk }
  vector: { op: embed, in: chunk.text, model: m }
tables:
  pages: { columns: { path: page.path } }
  chunks: { for: chunk, key: chunk.id, rollout: blue-green, columns: { v: vector, ` + columns + ` } }
targets:
  local: { sqlite: { path: out.db }, tables: [pages, chunks] }
  named: { postgres: { url: "postgres://x" }, tables: { chunks: { table: parts, where: 'text != ""' } } }
`
}

func tablesOfRows(rows []stream.Row) map[string]int {
	n := map[string]int{}
	for _, r := range rows {
		n[r.Table]++
	}
	return n
}

// TestEditionsAreComputedBesideEachOther: a document has the rows of both editions, as each flow has them alone; what is the same in
// both is one node.
func TestEditionsAreComputedBesideEachOther(t *testing.T) {
	before, after := rolling("100", "text: chunk.text"), rolling("2", "text: chunk.text, path: page.path")
	d := page("a.md", "# One\nfirst and\n\nsecond\n")
	want := map[string]string{}
	for edition, src := range map[string]string{"chunks__1": before, "chunks__3": after} {
		want[edition] = columnsOf(mustEvaluate(t, mustParse(t, src), d, newCounted()), "chunks")
	}
	f := mustParse(t, after)
	alone := f.Declaration()
	if err := f.Roll([]stream.Edition{{Table: "chunks", Now: 3, Other: 1, Shown: 1}}, map[int64]*Flow{1: mustParse(t, before)}); err != nil {
		t.Fatal(err)
	}
	calls := newCounted()
	rows := mustEvaluate(t, f, d, calls)
	for edition := range want {
		if got := columnsOf(rows, edition); got != want[edition] || got == "" {
			t.Errorf("%s has %s, want %s", edition, got, want[edition])
		}
	}
	if n := tablesOfRows(rows); n["pages"] != 1 || len(n) != 3 {
		t.Errorf("rows by table: %v", n)
	}
	if !slices.IsSortedFunc(rows, func(a, b stream.Row) int { return strings.Compare(a.Table, b.Table) }) {
		t.Error("rows are not sorted by table")
	}
	if got, want := f.Program.Nodes(), []string{"body", "chunks", "vector", "chunks__1", "vector__1"}; !slices.Equal(got, want) {
		t.Errorf("nodes %q, want %q", got, want)
	}
	if calls.calls["vector"] != 2 || calls.calls["vector__1"] != 0 {
		t.Errorf("calls %v: the model is the same for both editions", calls.calls)
	}
	if f.Declaration().Logic != alone.Logic || f.Program.Logic().String() == alone.Logic {
		t.Error("the file's logic is to stay as it is, and the program's to have that of its editions")
	}
	var kept []string
	for _, target := range f.Targets {
		for _, tab := range target.Config.Tables {
			kept = append(kept, target.Name+" "+tab.Table.Name+" as "+tab.As()+" shown as "+tab.Front)
		}
	}
	if want := []string{"local pages as pages shown as ", "local chunks__3 as chunks__3 shown as chunks", "local chunks__1 as chunks__1 shown as chunks",
		"named chunks__3 as parts__3 shown as parts", "named chunks__1 as parts__1 shown as parts"}; !slices.Equal(kept, want) {
		t.Errorf("targets keep %q, want %q", kept, want)
	}
	for _, table := range []string{"chunks__1", "chunks__3"} {
		if f.Targets[1].Where[table] == nil {
			t.Errorf("target named lost the condition of %s", table)
		}
	}
	if len(f.Program.TableLineage("chunks__1")) != 3 || f.Program.TableLineage("chunks__1")[1].Node != "chunks__1" {
		t.Errorf("lineage %v", f.Program.TableLineage("chunks__1"))
	}
}

// columnsOf are the rows of a table, in order, without its name.
func columnsOf(rows []stream.Row, table string) string {
	own := slices.DeleteFunc(slices.Clone(rows), func(r stream.Row) bool { return r.Table != table })
	return strings.ReplaceAll(printed(own), table, "")
}

// TestEditionsFollowChanges: which editions a table has after each revision.
func TestEditionsFollowChanges(t *testing.T) {
	declared := func(logic string) Declaration {
		return Declaration{Tables: []Part{{Name: "chunks", Logic: logic, Rolls: true}, {Name: "pages", Logic: logic}}}
	}
	texts := map[int64]string{1: "a", 2: "b", 4: "c"}
	logic := func(revision int64, _ string) (string, error) { return texts[revision], nil }
	edition := func(now, other, shown int64) []stream.Edition {
		return []stream.Edition{{Table: "chunks", Now: now, Other: other, Shown: shown}}
	}
	for _, c := range []struct {
		what         string
		was, becomes string
		before, want []stream.Edition
	}{
		{"a change is built beside what is shown", "a", "b", edition(1, 0, 1), edition(2, 1, 1)},
		{"no change", "b", "b", edition(2, 1, 1), edition(2, 1, 1)},
		{"another change replaces what is not shown", "b", "c", edition(2, 1, 1), edition(4, 1, 1)},
		{"back to what is shown", "b", "a", edition(2, 1, 1), edition(1, 2, 1)},
		{"back to what was shown before", "b", "a", edition(2, 1, 2), edition(1, 2, 2)},
		{"a change after promotion", "b", "c", edition(2, 1, 2), edition(4, 2, 2)},
	} {
		revision := map[string]int64{"a": 3, "b": 2, "c": 4}[c.becomes]
		got, err := declared(c.becomes).Editions(declared(c.was), c.before, revision, logic)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.what, got, err, c.want)
		}
	}
	first, err := declared("a").Editions(Declaration{}, nil, 1, logic)
	if err != nil || !slices.Equal(first, edition(1, 0, 1)) {
		t.Errorf("the first revision has %v, %v", first, err)
	}
	plain := Declaration{Tables: []Part{{Name: "chunks", Logic: "a"}}}
	for what, refused := range map[string]func() ([]stream.Edition, error){
		"rollout of a table that has rows":   func() ([]stream.Edition, error) { return declared("a").Editions(plain, nil, 2, logic) },
		"rollout taken from one that has it": func() ([]stream.Edition, error) { return plain.Editions(declared("a"), edition(1, 0, 1), 2, logic) },
	} {
		if _, err := refused(); stream.KindOf(err) != stream.Usage {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRolloutIsChecked(t *testing.T) {
	good := rolling("2", "text: chunk.text")
	for old, c := range map[string]struct{ with, want string }{
		"blue-green": {"canary", `can't roll out "canary"`},
		"chunks: { for: chunk, key: chunk.id, rollout: blue-green":     {"chunks__2: { for: chunk, key: chunk.id", "end in __ and a number"},
		"local: { sqlite: { path: out.db }, tables: [pages, chunks] }": {"local: { plain: {}, tables: [pages, chunks] }", "can't show one of two tables under one name (keep it in one that can, of kind postgres, sqlite; or"},
	} {
		registry := testRegistry()
		registry.Sinks["plain"] = stream.SinkSpec{Name: "plain"}
		_, err := Parse("flow.yaml", []byte(strings.Replace(good, old, c.with, 1)), registry)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.with, err, c.want)
		}
	}
}

// TestKindsThatNameTablesOtherwise: editions go by the setting that names a table in the target; a kind is asked about its tables, with their fronts,
// when the flow is checked.
func TestKindsThatNameTablesOtherwise(t *testing.T) {
	registry := testRegistry()
	var asked []string
	registry.Sinks["graph"] = stream.SinkSpec{Name: "graph", Naming: "node", TableSettings: []stream.Setting{{Name: "node", Kind: stream.SettingString}},
		Guarantees: stream.Guarantees{Fronts: true}, Check: func(tables []stream.TargetTable) error {
			for _, tab := range tables {
				asked = append(asked, tab.Table.Name+" shown as "+tab.Front)
				if tab.Settings.String("node") == "Bad" {
					return stream.Errorf(stream.Usage, "configure target graph", "it is bad")
				}
			}
			return nil
		}}
	text := strings.Replace(rolling("2", "text: chunk.text"), "{ sqlite: { path: out.db }, tables: [pages, chunks] }", "{ graph: {}, tables: { pages: {}, chunks: { node: Chunk } } }", 1)
	f, err := Parse("flow.yaml", []byte(text), registry)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"pages shown as ", "chunks shown as Chunk"}; !slices.Equal(asked, want) || f.Targets[0].Config.Tables[1].Front != "" {
		t.Errorf("the kind was asked about %q, want %q", asked, want)
	}
	if err := f.Roll([]stream.Edition{{Table: "chunks", Now: 3, Shown: 3}}, nil); err != nil {
		t.Fatal(err)
	}
	if kept := f.Targets[0].Config.Tables[1]; kept.Settings.String("node") != "Chunk__3" || kept.Front != "Chunk" || kept.Table.Name != "chunks__3" {
		t.Errorf("the target keeps %+v", kept)
	}
	_, err = Parse("flow.yaml", []byte(strings.Replace(text, "node: Chunk", "node: Bad", 1)), registry)
	if err == nil || !strings.Contains(err.Error(), "target local: it is bad") {
		t.Errorf("%v, want what the kind said", err)
	}
}
