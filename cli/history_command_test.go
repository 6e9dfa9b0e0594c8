package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/history"
)

const benchFlow = `
flow: bench
kafka: { partitions: 2 }
sources:
  page: { files: { root: ., include: ["**/*.md"] } }
models:
  small: { provider: hash }
nodes:
  body:   { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, each: chunk }
  vector: { op: embed, in: chunk.text, model: small }
tables:
  chunks: { for: chunk, key: chunk.id, columns: { text: chunk.text, embedding: vector } }
  pages:  { columns: { title: body.title } }
targets:
  local: { sqlite: { path: local.db }, tables: { chunks: { table: pieces } } }
`

// recorded has a no-op (c3), a page that breaks after it was good (c4), and a file that is not the source's.
const recorded = `{"commit":"c1","ts":1,"path":"a.md","op":"upsert","text":"# A\n\none\n"}
{"commit":"c1","ts":1,"path":"b.md","op":"upsert","text":"# B\n\ntwo\n"}
{"commit":"c2","ts":2,"path":"main.go","op":"upsert","text":"package main"}
{"commit":"c3","ts":3,"path":"a.md","op":"upsert","text":"# A\n\none\n"}
{"commit":"c3","ts":3,"path":"b.md","op":"upsert","text":"# B\n\ntwo\n\n# C\n\nthree\n"}
{"commit":"c4","ts":4,"path":"b.md","op":"upsert","text":"---\n[\n---\n"}
{"commit":"c5","ts":5,"path":"a.md","op":"delete"}
`

// benchRun runs `freshet bench history` beside the flow and the recording.
func benchRun(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	root := newRoot(program{registry: registry()})
	root.SetArgs(append([]string{"bench", "history"}, args...))
	var b bytes.Buffer
	root.SetOut(&b)
	if err := root.ExecuteContext(t.Context()); err != nil {
		return b.String() + err.Error(), exitCode(err)
	}
	return b.String(), exitDone
}

func benchFiles(t *testing.T) string {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"flow.yaml": benchFlow, "history.ndjson": recorded, "bad.ndjson": "{}",
		"debezium.yaml": strings.Replace(benchFlow, `files: { root: ., include: ["**/*.md"] }`, `debezium: { topic: t }, fields: { content: string }`, 1)} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return "flow.yaml"
}

func TestBenchHistory(t *testing.T) {
	benchFiles(t)
	out, code := benchRun(t, "-f", "flow.yaml", "--corpus", "history.ndjson", "--check", "--json", "--restart-every", "2")
	if code != exitQuarantined {
		t.Errorf("exit %d, want %d, for a page that can't be read", code, exitQuarantined)
	}
	in := json.NewDecoder(strings.NewReader(out))
	in.DisallowUnknownFields()
	var r history.Report
	if err := in.Decode(&r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	got := make([]string, len(r.Commits))
	for i, c := range r.Commits {
		b, err := json.Marshal([]any{c.Commit, c.Edits, c.Noop, c.Nodes["vector"].Computed, c.Nodes["vector"].Reused,
			c.Tables["chunks"].Upserts, c.Tables["chunks"].Deletes, c.Tables["pages"].Upserts, c.Tables["pages"].Deletes})
		if err != nil {
			t.Fatal(err)
		}
		got[i] = string(b)
	}
	want := `["c1",2,0,2,0,2,0,2,0] ["c3",2,1,1,1,1,0,0,0] ["c4",1,0,0,0,0,0,0,0] ["c5",1,0,0,0,0,1,0,1]`
	if strings.Join(got, " ") != want {
		t.Errorf("commits %s\nwant    %s", strings.Join(got, " "), want)
	}
	c := r.Total.Check
	if c == nil || !c.OK() || c.Quarantined != 1 || len(c.Tables) != 2 || r.Total.Skipped != 1 || r.Total.Freshness.P99 <= 0 || r.Total.State.Bytes == 0 {
		t.Errorf("total %+v, check %+v", r.Total, c)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) != 4 {
		t.Errorf("the replay left %v, %v", left, err)
	}
}

func TestBenchHistoryTargets(t *testing.T) {
	benchFiles(t)
	out, code := benchRun(t, "-f", "flow.yaml", "--corpus", "history.ndjson", "--check", "--targets", "local", "--data-dir", "data", "--limit", "2", "--commits")
	if code != exitDone || !strings.Contains(out, "check local.chunks: 3 rows, no difference") || !strings.Contains(out, "c3 ") || strings.Contains(out, "c4 ") {
		t.Errorf("exit %d: %s", code, out)
	}
	if _, err := os.Stat("local.db"); err != nil {
		t.Error(err)
	}
}

func TestBenchHistoryRefused(t *testing.T) {
	benchFiles(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no history":     {[]string{"-f", "flow.yaml"}, "say --corpus FILE or --git DIR"},
		"two histories":  {[]string{"-f", "flow.yaml", "--corpus", "x", "--git", "y"}, "say --corpus FILE or --git DIR"},
		"no flow":        {[]string{"--corpus", "x"}, "which flow"},
		"no such file":   {[]string{"-f", "flow.yaml", "--corpus", "absent"}, "no such file"},
		"no recording":   {[]string{"-f", "flow.yaml", "--corpus", "bad.ndjson"}, "it lacks commit or path"},
		"unknown target": {[]string{"-f", "flow.yaml", "--corpus", "history.ndjson", "--targets", "x"}, `no target "x"`},
		"not files":      {[]string{"-f", "debezium.yaml", "--corpus", "history.ndjson"}, "is of kind debezium"},
		"not empty":      {[]string{"-f", "flow.yaml", "--corpus", "history.ndjson", "--data-dir", "."}, "is not empty"},
		"no repository":  {[]string{"-f", "flow.yaml", "--git", filepath.Join(t.TempDir(), "absent")}, "absent"},
		"negative":       {[]string{"-f", "flow.yaml", "--corpus", "history.ndjson", "--limit", "-1"}, "--limit"},
	} {
		if out, code := benchRun(t, c.args...); code != exitUsage || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d: %s", name, code, out)
		}
	}
	var out bytes.Buffer
	broken := &history.Report{Total: history.Total{Quarantined: 1, Check: &history.Check{Again: history.Again{Computed: 1}}}}
	if err := printHistory(&out, broken, false, false); exitCode(err) != exitDifference {
		t.Errorf("a difference: %v", err)
	}
}
