package flow

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

const handbook = `flow: handbook
sources: { page: { files: { root: ./docs }, where: 'page.ext == "md"' } }
models: { small: { provider: openai, base_url: "http://localhost:1/v1", model: nomic, dimensions: 4, batch: 64 } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, max_tokens: 256, each: chunk }
  input:  { op: expr, in: 'body.title + "\n" + chunk.text' }
  vector: { op: embed, in: input, model: small }
tables:
  chunks: { for: chunk, where: 'body.meta.draft.or(false) == false', key: chunk.id, columns: { path: page.path, embedding: vector } }
targets: { local: { sqlite: { path: handbook.db }, tables: [chunks] } }
`

// memos are the memo identities of the program's operators, in order of evaluation.
func memos(f *Flow) (all []stream.Fingerprint) {
	for _, s := range f.Program.steps {
		if s.node != nil {
			all = append(all, s.node.Memo)
		}
	}
	return all
}

func TestWhatChangesLogic(t *testing.T) {
	base := mustParse(t, handbook)
	cases := []struct {
		name        string
		change      []string // old, new, old, new ...
		logic, memo bool
		changed     string
	}{
		{name: "nothing", change: []string{"", ""}},
		{name: "a node is renamed", change: []string{"input:", "prompt:", "in: input", "in: prompt"}},
		{name: "an element is renamed", change: []string{"each: chunk", "each: piece", "chunk.", "piece.", "for: chunk", "for: piece"}},
		{name: "a formula is reformatted", change: []string{`body.title + "\n" + chunk.text`, `( body.title+"\n" )   +   chunk.text`}},
		{name: "a model is renamed", change: []string{"small", "tiny"}},
		{name: "a model moves", change: []string{"localhost:1", "models:2", "batch: 64", "batch: 8"}},
		{name: "a model has a price", change: []string{"batch: 64", "batch: 64, price: 0.02"}},
		{name: "a model has a rate", change: []string{"batch: 64", "batch: 64, rate: 2.5"}},
		{name: "documents are given up earlier", change: []string{"flow: handbook\n", "flow: handbook\nretry: { attempts: 3 }\n"}},
		{name: "a target changes", change: []string{"handbook.db", "other.db"}},
		{name: "nodes are reordered", change: []string{"  body:   { op: parse.markdown, in: page.content }\n", "", "\ntables:\n", "\n  body:   { op: parse.markdown, in: page.content }\ntables:\n"}},
		{name: "the source moves", change: []string{"./docs", "./pages"}},
		{name: "the model changes", change: []string{"nomic", "other"}, logic: true, memo: true, changed: "node vector changed"},
		{name: "chunks grow", change: []string{"256", "512"}, logic: true, memo: true, changed: "node chunks changed"},
		{name: "a formula changes", change: []string{`"\n"`, `" "`}, logic: true, changed: "node input changed"},
		{name: "a key changes", change: []string{"key: chunk.id", "key: chunk.text"}, logic: true, changed: "table chunks changed"},
		{name: "a condition changes", change: []string{".or(false) == false", ".or(true) == false"}, logic: true, changed: "table chunks changed"},
		{name: "a column is added", change: []string{"path: page.path,", "path: page.path, ext: page.ext,"}, logic: true, changed: "table chunks changed"},
		{name: "a column is renamed", change: []string{"path: page.path,", "file: page.path,"}, logic: true, changed: "table chunks changed"},
		{name: "the source's condition changes", change: []string{`"md"`, `"txt"`}, logic: true, changed: "source page changed"},
		{name: "a table is added", change: []string{"tables:\n", "tables:\n  pages: { columns: { p: page.path } }\n"}, logic: true, changed: "table pages added"},
		{name: "a table is renamed", change: []string{"tables:\n  chunks:", "tables:\n  parts:", "[chunks]", "[parts]"}, logic: true, changed: "table parts added, table chunks removed"},
		{name: "a node is put between", change: []string{"in: input,", "in: upper,", "\ntables:\n", "\n  upper: { op: expr, in: input + \"x\" }\ntables:\n"}, logic: true,
			changed: "node upper added, node vector changed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := mustParse(t, strings.NewReplacer(c.change...).Replace(handbook))
			if got := f.Program.Logic() != base.Program.Logic(); got != c.logic {
				t.Errorf("logic changed: %v, want %v", got, c.logic)
			}
			if got := !sameMemos(memos(f), memos(base)); got != c.memo {
				t.Errorf("memo identities changed: %v, want %v", got, c.memo)
			}
			if got := strings.Join(f.Declaration().Changed(base.Declaration()), ", "); got != c.changed {
				t.Errorf("declaration: %q, want %q", got, c.changed)
			}
		})
	}
}

func sameMemos(a, b []stream.Fingerprint) bool {
	seen := map[stream.Fingerprint]bool{}
	for _, m := range b {
		seen[m] = true
	}
	for _, m := range a {
		if !seen[m] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestDeclarationEncodes(t *testing.T) {
	d := mustParse(t, handbook).Declaration()
	b, err := stream.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back Declaration
	if err := stream.Unmarshal(b, &back); err != nil || back.Changed(d) != nil || back.Logic != d.Logic || len(back.Nodes) != 4 {
		t.Errorf("got %+v, %v", back, err)
	}
}

func TestVersionsCount(t *testing.T) {
	base, r := mustParse(t, handbook), testRegistry()
	spec := r.Operators["split.markdown"]
	spec.Version++
	r.Operators["split.markdown"] = spec
	f, err := Parse("flow.yaml", []byte(handbook), r)
	if err != nil {
		t.Fatal(err)
	}
	if f.Program.Logic() == base.Program.Logic() || sameMemos(memos(f), memos(base)) {
		t.Error("another version of an operator is not another logic and another memo")
	}
}

func TestContentsOfAPathCount(t *testing.T) {
	dir := t.TempDir()
	r := testRegistry()
	spec := r.Operators["split.markdown"]
	spec.Settings = append(spec.Settings, stream.Setting{Name: "prompt", Kind: stream.SettingPath, Output: true})
	r.Operators["split.markdown"] = spec
	path := filepath.Join(dir, "flow.yaml")
	src := strings.Replace(handbook, "max_tokens", "prompt: ./prompt.txt, max_tokens", 1)
	load := func(prompt string) stream.Fingerprint {
		if err := os.WriteFile(filepath.Join(dir, "prompt.txt"), []byte(prompt), 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Parse(path, []byte(src), r)
		if err != nil {
			t.Fatal(err)
		}
		return f.Program.Logic()
	}
	if load("one") == load("two") || load("one") != load("one") {
		t.Error("the logic doesn't follow the file's contents")
	}
}
