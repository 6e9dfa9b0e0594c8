package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// embedder speaks OpenAI's protocol: a vector of two dimensions by model and text, and of three of the model "three".
type embedder struct {
	mu     sync.Mutex
	inputs []string
}

func (m *embedder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, "what is this?", http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	m.inputs = append(m.inputs, request.Input...)
	m.mu.Unlock()
	v := map[string][]float32{"one": {1, 0}, "two": {3, 4}}[request.Model]
	if v == nil || slices.ContainsFunc(request.Input, func(s string) bool { return strings.Contains(s, "unspeakable") }) {
		http.Error(w, `{"error":{"message":"not that"}}`, http.StatusBadRequest)
		return
	}
	data := make([]map[string]any, len(request.Input))
	for i := range data {
		data[i] = map[string]any{"index": i, "embedding": v}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data}) // the client sees a broken answer
}

// taken are the inputs since it was last asked, in order.
func (m *embedder) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.inputs
	m.inputs = nil
	slices.Sort(taken)
	return taken
}

// TestPlanSample: a sample says what the next run makes of its documents, asks a model for just what they need, and writes nothing.
func TestPlanSample(t *testing.T) {
	m := &embedder{}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	d := newDesk(t)
	flow := func(model, title string) string {
		return strings.NewReplacer("provider: hash", fmt.Sprintf("provider: openai, base_url: %q, model: %s, dimensions: 2, price: 10", server.URL, model),
			"title: body.title", "title: "+title).Replace(deskFlow)
	}
	d.write("flow.yaml", flow("one", "body.title"))
	d.want(exitUsage, []string{"say --yes too"}, "plan", "--sample", "1", "--json")
	d.want(exitUsage, []string{"at most 1000"}, "plan", "--sample", "1001")
	d.json(&Report{}, "dev", "dev", "--once")
	d.want(exitDone, []string{"nothing to do"}, "plan", "--sample", "1")
	m.taken()

	d.write("flow.yaml", flow("one", `'"# " + body.title'`))
	s := d.sample(2)
	if asked := m.taken(); len(asked) > 0 || s.Tables["chunks"] != (sampledTable{Changed: 3}) || len(s.Vectors) > 0 {
		d.Errorf("asked for %q, found %+v", asked, s)
	}
	d.want(exitDifference, []string{"sample of 2 documents, of 2\ndocument page/", "    title:\n      - Backups\n      + # Backups\n",
		"sampled  added  changed  removed  as they are  \nchunks   0      3        0        0"}, "plan", "--sample", "50")

	d.write("flow.yaml", flow("two", "body.title"))
	if c := d.runWith("no\n", "plan", "--sample", "1"); c.code != exitUsage || !strings.Contains(c.out, "2 documents to be evaluated") ||
		!strings.Contains(c.err, "the sample of 1 documents, of 2, calls models") || !strings.Contains(c.err, "no sample was taken; ") || len(m.taken()) > 0 {
		d.Errorf("exit %d: %s%s", c.code, c.out, c.err)
	}
	s = d.sample(1)
	of := s.Documents[0]
	var want []string
	for _, r := range of.Rows {
		if c := r.Columns["embedding"].Cosine; r.Change != rowChanged || len(r.Columns) != 1 || c == nil || *c < 0.5999 || *c > 0.6001 {
			d.Errorf("got %+v", r)
		}
		want = append(want, r.Key)
	}
	asked := m.taken()
	if n := s.Nodes["vector"]; len(asked) == 0 || len(asked) != len(want) || n.Computed != int64(len(asked)) || n.Money == 0 {
		d.Errorf("asked for %q; rows %v, nodes %+v", asked, want, s.Nodes)
	}
	if again := d.sample(1); again.Documents[0].Document != of.Document || !slices.Equal(m.taken(), asked) {
		d.Errorf("the second time got %+v, the first %+v", again, s)
	}
	c := d.runWith("yes\n", "plan", "--sample", "2")
	if c.code != exitDifference || !strings.Contains(c.out, "    embedding: cosine 0.6000\n") || !strings.Contains(c.out, "chunks.embedding  3       0.6000       0.6000") {
		d.Errorf("exit %d: %s%s", c.code, c.out, c.err)
	}
	m.taken()
	var r Report
	d.json(&r, "dev", "dev", "--once")
	if n := len(m.taken()); n != 3 || r.Tables["chunks"].Upserts != 3 {
		d.Errorf("the next run asked for %d texts, as nothing was kept: %+v", n, r)
	}
}

// sample takes one, and checks it against the published schema.
func (d *desk) sample(n int) sampled {
	d.Helper()
	var p planned
	s := d.run("plan", "--json", "--yes", "--sample", fmt.Sprint(n))
	if err := d.conforms("plan", s.out); err != nil || s.code != exitDifference {
		d.Fatalf("exit %d, %v: %s%s", s.code, err, s.out, s.err)
	}
	if err := json.Unmarshal([]byte(s.out), &p); err != nil || p.Sample == nil || len(p.Sample.Documents) != n {
		d.Fatalf("%v: %s", err, s.out)
	}
	return *p.Sample
}

// TestPlanSampleFails: a document that a model refuses is told; one that can't be reached ends the sample, not the plan.
func TestPlanSampleFails(t *testing.T) {
	m := &embedder{}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	d := newDesk(t)
	flow := func(model string) string {
		return strings.ReplaceAll(deskFlow, "provider: hash", fmt.Sprintf("provider: openai, base_url: %q, model: %s, dimensions: 2", server.URL, model))
	}
	d.write("flow.yaml", flow("one"))
	d.json(&Report{}, "dev", "dev", "--once")
	d.write("flow.yaml", strings.Replace(flow("two"), `body.title + "\n" + chunk.text`, `(page.path == "install.md" ? "unspeakable" : "") + chunk.text`, 1))
	s := d.sample(2)
	refused := slices.IndexFunc(s.Documents, func(x sampledDocument) bool { return x.Refused != "" })
	if refused < 0 || s.Documents[refused].Document != "page/install.md" || s.Tables["chunks"] != (sampledTable{Changed: 1}) {
		d.Errorf("got %+v", s)
	}
	server.Close()
	c := d.run("plan", "--sample", "2", "--yes")
	if c.code != exitFailed || !strings.Contains(c.out, "2 documents to be evaluated") || !strings.Contains(c.err, "no sample was taken: ") || !strings.Contains(c.err, "node vector") {
		d.Errorf("exit %d: %s%s", c.code, c.out, c.err)
	}
}

// TestCompareDocument: rows that come, go, change and stay, and columns likewise.
func TestCompareDocument(t *testing.T) {
	text := stream.StringOf
	row := func(key string, values ...stream.Value) stream.Row {
		return stream.Row{Table: "t", Key: key, Columns: values}
	}
	old := map[string]stream.Row{"goes": row("goes", text("x"), text("y")), "stays": row("stays", text("x"), text("y")),
		"differs": row("differs", text("x"), stream.VectorOf([]float32{1, 2})), "later": row("later", text("x"), text("y"))}
	e := engine.Sampled{Document: "d", Rows: []stream.Row{row("comes", text("a"), text("b")), old["stays"],
		row("differs", stream.IntOf(2), stream.VectorOf([]float32{1})), row("later", text("z"), text("y"))}}
	rows := map[stream.RowID]wroteRow{}
	for key, r := range old {
		e.Held = append(e.Held, engine.HeldRow{Table: "t", Key: key, Fingerprint: r.Fingerprint()})
		rows[stream.RowID{Table: "t", Document: "d", Key: key}] = wroteRow{entriesOf([]string{"a", "was"}, r.Columns), true}
	}
	tables := tablesByName([]stream.Table{{Name: "t", Columns: []stream.Field{{Name: "a"}, {Name: "was"}}}})
	d := compareDocument(e, rows, tables)
	s := &sampled{Of: 1, Tables: map[string]sampledTable{}, Vectors: map[string]sampledVector{}}
	s.add(d)
	if s.Tables["t"] != (sampledTable{Same: 1, Changed: 2, Added: 1, Removed: 1}) || d.Moved {
		t.Errorf("got %+v", d)
	}
	var out bytes.Buffer
	s.print(&out)
	const want = `sample of 1 documents, of 1
document d
  row of t, key "comes": added
    a: + a
    was: + b
  row of t, key "differs": changed
    a: x → 2
    was: other dimensions, 2 → 1
  row of t, key "goes": removed
    a: - x
    was: - y
  row of t, key "later": changed
    a:
      - x
      + z
  rows of t as they are: 1
sampled  added  changed  removed  as they are  
t        1      2        1        1            
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
	tables["t"] = stream.Table{Name: "t", Columns: []stream.Field{{Name: "a"}, {Name: "now"}}}
	later := compareDocument(e, rows, tables).Rows[3]
	if c := later.Columns; later.Key != "later" || c["was"].New != nil || c["now"].Old != nil || c["now"].New.Str() != "y" {
		t.Errorf("got %+v", later)
	}
	delete(rows, stream.RowID{Table: "t", Document: "d", Key: "later"})
	if d = compareDocument(e, rows, tables); !d.Moved {
		t.Error("a row that the rows topic has no more is not told")
	}
}

func TestTextDiff(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct{ old, now, want string }{
		{"a", "b", "- a\n+ b"},
		{"a\nb\nc\nd", "a\nb\nC\nd", "  b\n- c\n+ C\n  d"},
		{"1\n2\n3\n4\n5", "one\n2\n3\n4\nfive", "- 1\n+ one\n  2\n  …\n  4\n- 5\n+ five"},
		{long + "a", long + "b", "- …" + long[:20] + "a\n+ …" + long[:20] + "b"},
		{long, "y", "- " + long[:120] + "…\n+ y"},
		{"", strings.Repeat("l\n", 40), ""},
	} {
		got := textDiff(tt.old, tt.now)
		if n := strings.Count(got, "\n"); n > diffLines || tt.want != "" && got != tt.want || got == "" {
			t.Errorf("%q to %q: got %d lines\n%s", tt.old, tt.now, n+1, got)
		}
	}
}

func TestCosine(t *testing.T) {
	raw := func(e stream.Element, b ...byte) stream.Value {
		v, err := stream.RawVectorOf(e, b)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one := stream.VectorOf([]float32{1, 0})
	for _, tt := range []struct {
		a, b stream.Value
		want float64
		ok   bool
	}{
		{one, stream.VectorOf([]float32{3, 4}), 0.6, true},
		{one, stream.VectorOf([]float32{-2, 0}), -1, true},
		{one, raw(stream.I8, 3, 4), 0.6, true},
		{one, raw(stream.F16, 0, 0x42, 0, 0x44), 0.6, true}, // 3 and 4
		{one, stream.VectorOf([]float32{0, 0}), 0, false},
		{one, stream.VectorOf([]float32{1}), 0, false},
		{one, stream.StringOf("x"), 0, false},
	} {
		if got, ok := cosine(tt.a, tt.b); ok != tt.ok || ok && (got < tt.want-1e-6 || got > tt.want+1e-6) {
			t.Errorf("%v, %v: got %v, %v", tt.a, tt.b, got, ok)
		}
	}
}
