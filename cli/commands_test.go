package cli

import (
	"database/sql"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/control"
)

// tamper changes the target behind Freshet's back.
func (d *desk) tamper() {
	d.Helper()
	d.edit("update chunks set text = 'tampered'")
}

// edit runs a statement on the target's file.
func (d *desk) edit(statement string) {
	d.Helper()
	db, err := sql.Open("sqlite", filepath.Join(d.dir, "handbook.db"))
	if err != nil {
		d.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		d.Fatal(err)
	}
}

// wantWhole demands that the target holds what the documents say.
func (d *desk) wantWhole() {
	d.Helper()
	var r control.SearchResult
	d.json(&r, "search", "search", "local", "nightly database copies", "-k", "10")
	if len(r.Hits) != 3 || r.Hits[0].Document != "page/guide/backup.md" || r.Table != "chunks" || r.Column != "embedding" {
		d.Errorf("the search found %+v", r)
	}
	for _, h := range r.Hits {
		if text := h.Columns["text"].Str(); !strings.HasPrefix(text, "#") {
			d.Errorf("the target holds %q", text)
		}
	}
}

func TestCommandsWhenNothingRuns(t *testing.T) {
	d := newDesk(t)
	d.want(exitDone, []string{"nothing runs, and there is no state"}, "status")
	d.want(exitUsage, []string{"flow handbook has not run yet"}, "verify", "local")
	d.want(exitUsage, []string{"flow handbook has not run yet"}, "plan")
	var report Report
	d.json(&report, "dev", "dev", "--once")
	if report.Documents != 2 || report.Tables["chunks"].Rows != 3 {
		t.Errorf("got %+v", report)
	}
	d.want(exitDone, []string{"nothing runs; this is the state", "documents  2 (0 pending, 0 quarantined)", "chunks: 3 rows", "target     local: lag unknown"}, "status")
	var s overview
	d.json(&s, "status", "status")
	if s.Running || s.Totals.Documents != 2 || s.Totals.Rows["chunks"] != 3 || s.SourceLag != nil || s.Targets[0].Lag != nil {
		t.Errorf("got %+v", s)
	}
	d.checkDocuments()
	d.checkTrials()
	d.checkExplain()
	d.checkPlan()
	d.wantWhole()
	var v verified
	d.json(&v, "verify", "verify", "local")
	if v.Rows != 3 || v.total() != 0 || v.Unjudged != 0 || v.Behind != 0 || len(v.Differences) != 5 {
		t.Errorf("got %+v", v)
	}
	d.tamper()
	d.checkDifferences()
	d.checkLost()
	d.want(exitDone, []string{"0 missing, 0 extra, 3 edited columns", " built anew from the rows topic: 0 differences left"}, "verify", "local", "--repair")
	d.wantWhole()
	d.tamper()
	var r rebuilt
	d.json(&r, "rebuild", "rebuild", "local")
	if r.Running {
		t.Errorf("got %+v", r)
	}
	d.wantWhole()
	d.want(exitDone, []string{"target local: 3 rows compared, 0 differences"}, "verify", "local")
	d.checkWrongUsage()
}

func (d *desk) checkDocuments() {
	d.Helper()
	var page control.Documents
	d.json(&page, "documents-list", "documents", "list", "--limit", "1")
	if len(page.Documents) != 1 || page.Documents[0].ID != "page/guide/backup.md" || page.Documents[0].Rows != 1 || page.Next != "page/guide/backup.md" {
		d.Errorf("got %+v", page)
	}
	d.json(&page, "documents-list", "documents", "list", "--after", "page/guide/backup.md")
	if len(page.Documents) != 1 || page.Documents[0].ID != "page/install.md" {
		d.Errorf("got %+v", page)
	}
	d.want(exitDone, []string{"live             2 rows  page/install.md"}, "documents", "list")
	d.want(exitDone, []string{"none"}, "documents", "list", "--quarantined")
	var detail control.Detail
	d.json(&detail, "documents-show", "documents", "show", "page/install.md")
	if !strings.HasPrefix(detail.Input.Field("content").Str(), "# Install") || len(detail.Rows) != 2 || detail.Rows[0].Table != "chunks" {
		d.Errorf("got %+v", detail)
	}
	d.want(exitDone, []string{"status     live", "handbook.files.page/", "path = install.md", "row        chunks"}, "documents", "show", "page/install.md")
	d.want(exitFailed, []string{"there is no document page/none.md"}, "documents", "show", "page/none.md")
}

// checkPlan has a changed flow planned in both forms, and leaves it as it was.
func (d *desk) checkPlan() {
	d.Helper()
	var p planned
	d.json(&p, "plan", "plan")
	if !p.nothing() || p.Tables["chunks"].Same != 3 {
		d.Errorf("got %+v", p)
	}
	d.want(exitDone, []string{"flow handbook: nothing to do"}, "plan")
	changed := strings.NewReplacer(`body.title + "\n" + chunk.text`, "chunk.text", "provider: hash", "provider: hash, price: 200, rate: 2", "targets:\n", "targets:\n  beside: { sqlite: { path: beside.db }, tables: [chunks] }\n")
	d.write("flow.yaml", changed.Replace(deskFlow))
	d.want(exitDifference, []string{"flow handbook: 2 documents to be evaluated\n  node input changed\n  target beside added",
		"vector  3         0       at least 3 calls, 27 tokens, which cost 0.0054, 1.5s at its rate", "chunks  0      0          3              0        0"}, "plan")
	if s := d.run("plan", "--json"); d.conforms("plan", s.out) != nil || s.code != exitDifference || !strings.Contains(s.out, `{"name":"target:beside","effect":"safe"`) {
		d.Errorf("exit %d: %s%s", s.code, s.out, s.err)
	}
	d.write("flow.yaml", strings.Replace(deskFlow, "title: body.title, ", "lang: 'int(body.meta.level.or(\"1\"))', ", 1))
	d.want(exitDifference, []string{"column:chunks.lang   rebuild      added", "column:chunks.title  destructive  removed"}, "plan")
	d.write("flow.yaml", strings.NewReplacer("sources:\n", "sources:\n  note: { files: { root: ./notes } }\n", "tables:\n  chunks", "tables:\n  notes: { columns: { path: note.path } }\n  chunks",
		"[chunks]", "[chunks, notes]").Replace(deskFlow))
	d.want(exitUsage, []string{"read the topic of its only source so far", "freshet reset -f flow.yaml"}, "plan")
	d.write("flow.yaml", deskFlow)
}

// checkDifferences demands that verify finds what tamper did, in both forms, and tells no value.
func (d *desk) checkDifferences() {
	d.Helper()
	d.want(exitDifference, []string{"edited column: table chunks, document page/", ", column text (version 1.", "and 2 more",
		"0 missing, 0 extra, 3 edited columns", "run: freshet verify local --repair"}, "verify", "local", "--limit", "1")
	s := d.run("verify", "local", "--json")
	if err := d.conforms("verify", s.out); err != nil || s.code != exitDifference || strings.Contains(s.out+s.err, "tampered") {
		d.Errorf("exit %d, %v: %s%s", s.code, err, s.out, s.err)
	}
}

func (d *desk) checkTrials() {
	d.Helper()
	d.write("draft.md", "# Draft\n\nNot yet among the pages.\n")
	for arg, id := range map[string]string{"draft.md": "page/draft.md", "docs/guide/backup.md": "page/guide/backup.md",
		"page/guide/backup.md": "page/guide/backup.md", "install.md": "page/install.md"} {
		var tried trial
		d.json(&tried, "try", "try", arg)
		if tried.Document != id || !tried.Kept || len(tried.Rows) == 0 || tried.Nodes[3].Node != "vector" || len(tried.Nodes[3].Values) != len(tried.Rows) {
			d.Errorf("try %s: %+v", arg, tried)
		}
	}
	d.want(exitDone, []string{"node body (parse.markdown) = ", "node vector (embed), for each of 1 chunk", "vector(f32, 256)", "1 rows"}, "try", "draft.md")
	d.want(exitFailed, []string{"there is no document page/none.md"}, "try", "none.md")
}

// checkExplain has a row explained in both forms, and by each of its names.
func (d *desk) checkExplain() {
	d.Helper()
	var e, same explained
	d.json(&e, "explain", "explain", "local", "page/guide/backup.md")
	if e.Row == nil || e.Source == nil || len(e.Targets) != 1 || len(e.Source.Nodes) != 4 {
		d.Fatalf("got %+v", e)
	}
	if l := e.Row.Lineage; l.Topic != "handbook.files.page" || l.Document != e.Document || len(l.Nodes) != 4 || l.Nodes[3] != e.Source.Nodes[3].NodeLineage || l.Nodes[3].Model != "hash" {
		d.Errorf("got %+v", l)
	}
	if s := e.Source; !s.Current || !s.Made || s.Error != "" || !strings.HasPrefix(s.Input.Field("content").Str(), "# Backups") {
		d.Errorf("got %+v", s)
	}
	chunks, input, vector := e.Source.Nodes[1], e.Source.Nodes[2], e.Source.Nodes[3]
	if o := chunks.Opened; o == nil || o.Element != "chunk" || o.Of != 1 || o.Span == nil || o.Span.Start != 0 || chunks.Output.Field("id").Str() != e.Key {
		d.Errorf("got %+v", chunks)
	}
	if input.Element != "chunk" || !strings.HasPrefix(input.Output.Str(), "Backups\n# Backups") || vector.Input.Str() != input.Output.Str() || vector.Missing != nil ||
		vector.Output.Field("dims").Int() != 256 {
		d.Errorf("got %+v, %+v", input, vector)
	}
	if t := e.Targets[0]; t.Target != "local" || t.State != heldEqual || t.Version != e.Row.Version || t.Next == nil || *t.Next <= e.Row.Offset {
		d.Errorf("got %+v", t)
	}
	for _, named := range [][]string{{e.Key}, {"guide/backup.md"}, {e.Document, e.Key, "--table", "chunks"}} {
		if d.json(&same, "explain", append([]string{"explain", "local"}, named...)...); same.Document != e.Document || same.Key != e.Key {
			d.Errorf("%v: got %+v", named, same)
		}
	}
	d.want(exitDone, []string{"row of table chunks, document page/guide/backup.md, key ", "written of handbook.files.page/", "column     title = Backups",
		"input      content = # Backups", "node vector (embed, version 1, model hash), for the chunk\n  in         Backups # Backups", "chunk      1 of 1, bytes 0 to ",
		"target local: equal, holds version " + e.Row.Version}, "explain", "local", e.Key)
	d.want(exitFailed, []string{`"none" is no document of the flow, and no row of target local has it as its key`}, "explain", "local", "none")
	d.want(exitFailed, []string{"there is no document page/none.md"}, "explain", "local", "page/none.md", "k")
	d.want(exitDone, []string{"the rows topic has no record of it", "this input does not give the row", "node body", "target local: equal, holds no such row"},
		"explain", "local", e.Document, "none")
}

// checkLost demands that explain says of a row that a target lost, or has too much of.
func (d *desk) checkLost() {
	d.Helper()
	d.edit("delete from chunks where _document = 'page/guide/backup.md'")
	d.want(exitDone, []string{"target local: absent, holds no such row; see: freshet verify local"}, "explain", "local", "page/guide/backup.md")
	d.edit("update chunks set _key = 'stranger' where title = 'Install' and _key = (select min(_key) from chunks)")
	d.want(exitDone, []string{"the rows topic has no record of it", "target local: differs, holds version 1."}, "explain", "local", "stranger")
	d.want(exitDone, []string{"built anew from the rows topic: 0 differences left"}, "verify", "local", "--repair")
	d.tamper()
}

func (d *desk) checkWrongUsage() {
	d.Helper()
	for _, tt := range []struct {
		text string
		args []string
	}{
		{"which target, and what text?", []string{"search", "local"}},
		{`no target "away"; it has: local`, []string{"search", "away", "x"}},
		{`no vector column "text"`, []string{"search", "local", "x", "--column", "text"}},
		{`keeps no table "pages"`, []string{"search", "local", "x", "--table", "pages"}},
		{"-k 0", []string{"search", "local", "x", "-k", "0"}},
		{`no target "away"`, []string{"rebuild", "away"}},
		{`no target "away"`, []string{"verify", "away"}},
		{"which target?", []string{"verify"}},
		{"which row of which target?", []string{"explain", "local"}},
		{`no target "away"; it has: local`, []string{"explain", "away", "page/install.md"}},
		{`keeps no table "pages"; it keeps: chunks`, []string{"explain", "local", "page/install.md", "--table", "pages"}},
		{"document page/install.md has 2 rows in target local; say which:\n  explain local page/install.md", []string{"explain", "local", "page/install.md"}},
		{"--limit -1", []string{"verify", "local", "--limit", "-1"}},
		{"--limit 0", []string{"documents", "list", "--limit", "0"}},
		{"which document?", []string{"documents", "show"}},
		{"which document?", []string{"forget"}},
		{"which documents? say IDs, or --all-quarantined", []string{"documents", "retry"}},
		{"which documents? say IDs, or --all-quarantined", []string{"documents", "retry", "page/install.md", "--all-parked"}},
		{"no process of flow handbook runs", []string{"documents", "retry", "--all-parked"}},
		{"which document?", []string{"documents", "drop"}},
		{"no process of flow handbook runs", []string{"documents", "drop", "page/install.md", "--yes"}},
		{"no process of flow handbook runs", []string{"forget", "page/install.md", "--yes"}},
		{"which document?", []string{"try"}},
		{"nothing was done", []string{"reset"}},
		{"unknown flag", []string{"status", "--wach"}},
	} {
		d.want(exitUsage, []string{tt.text}, tt.args...)
	}
}

func TestCommandsWhileDevRuns(t *testing.T) {
	d := newDesk(t)
	stop, _ := d.dev(2)
	d.want(exitDone, []string{"flow handbook: 1 running", "source     caught up", "chunks: 3 rows", "target     local: caught up"}, "status")
	var s overview
	d.json(&s, "status", "status")
	if len(s.Replicas) != 1 || s.Replicas[0].Counts.Applied != 2 || s.Replicas[0].Counts.Nodes["vector"].Computed != 3 || s.Targets[0].Freshness == nil {
		t.Errorf("got %+v", s)
	}
	d.checkDocuments()
	d.checkTrials()
	d.checkExplain()
	d.wantWhole()
	d.tamper()
	var r rebuilt
	d.json(&r, "rebuild", "rebuild", "local")
	if !r.Running {
		t.Errorf("got %+v", r)
	}
	d.wantWhole()
	d.want(exitUsage, []string{"1 processes of flow handbook run; stop them first"}, "reset", "--yes")
	d.want(exitUsage, []string{"`freshet dev` runs flow handbook", "stop it first"}, "verify", "local")
	d.want(exitUsage, []string{"`freshet dev` runs flow handbook", "stop it first"}, "plan")
	d.checkMetrics()
	d.checkForget()
	d.checkRetry()
	stop()
	if exists(filepath.Join(d.dir, ".freshet", "handbook", "control.addr")) {
		t.Error("the address stays after a clean stop")
	}
}

// checkForget has a document forgotten in both forms, and refused.
func (d *desk) checkForget() {
	d.Helper()
	d.want(exitFailed, []string{"there is no document page/none.md"}, "forget", "page/none.md", "--yes")
	d.want(exitUsage, []string{"nothing was done; to forget document page/install.md"}, "forget", "page/install.md")
	var r forgetReport
	d.json(&r, "forget", "forget", "page/install.md", "--yes")
	if r.Document != "page/install.md" || r.Rows["chunks"] != 2 || r.Memos != 2 || r.Input == 0 || len(r.Unreached) != 3 ||
		len(r.Targets) != 1 || r.Targets[0].Target != "local" || r.Targets[0].Rows != 0 {
		d.Errorf("got %+v", r)
	}
	d.want(exitFailed, []string{"there is no document page/install.md"}, "documents", "show", "page/install.md")
	d.want(exitDone, []string{"target     local: caught up", "chunks: 1 rows"}, "status")
}

// checkRetry has a quarantined document tried again, in both forms, and given up.
func (d *desk) checkRetry() {
	d.Helper()
	d.write("docs/broken.md", "---\nlevel: high\n---\n\n# Broken\n\nIts level is no number.\n")
	quarantined := func() {
		d.Helper()
		d.until("page/broken.md is quarantined", func() bool {
			return strings.Contains(d.run("documents", "list", "--quarantined").out, "page/broken.md")
		})
	}
	quarantined()
	var r control.Retried
	d.json(&r, "documents-retry", "documents", "retry", "page/broken.md", "page/guide/backup.md")
	if r.Due != 1 || !slices.Equal(r.Live, []string{"page/guide/backup.md"}) {
		d.Errorf("got %+v", r)
	}
	quarantined()
	d.want(exitDone, []string{"1 documents are evaluated again"}, "documents", "retry", "--all-quarantined")
	d.want(exitFailed, []string{"0 documents are evaluated again", "page/none.md: no process that answers holds it"}, "documents", "retry", "page/none.md")
	quarantined()
	d.want(exitUsage, []string{"nothing was done; to give up page/broken.md"}, "documents", "drop", "page/broken.md")
	d.want(exitFailed, []string{"it is not quarantined"}, "documents", "drop", "page/guide/backup.md", "--yes")
	d.want(exitFailed, []string{"there is no document handbook.files.page/0@7"}, "documents", "drop", "handbook.files.page/0@7", "--yes")
	var dropped control.Dropped
	d.json(&dropped, "documents-drop", "documents", "drop", "page/broken.md", "--yes")
	if dropped.Document != "page/broken.md" {
		d.Errorf("got %+v", dropped)
	}
	d.want(exitFailed, []string{"there is no document page/broken.md"}, "documents", "show", "page/broken.md")
}

func (d *desk) checkMetrics() {
	d.Helper()
	address, err := os.ReadFile(filepath.Join(d.dir, ".freshet", "handbook", "control.addr"))
	if err != nil {
		d.Fatal(err)
	}
	resp, err := http.Get("http://" + string(address) + "/metrics")
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	for _, want := range []string{`freshet_changes_total{outcome="applied"} 2`, `freshet_documents 2`, `freshet_rows{table="chunks"} 3`,
		`freshet_node_results_total{how="computed",node="vector"} 3`, `freshet_rows_written_total{op="upsert",table="chunks"} 3`,
		`freshet_source_lag_records 0`, `freshet_target_lag_records{target="local"} 0`, `freshet_freshness_seconds{target="local"}`,
		`freshet_transactions_total{result="aborted"} 0`, `freshet_state_divergence_total 0`, `freshet_kafka_connects_total{`} {
		if !strings.Contains(string(body), want) {
			d.Errorf("no %s", want)
		}
	}
}

func TestStatusAfterAKill(t *testing.T) {
	d := newDesk(t)
	_, kill := d.dev(2)
	kill()
	d.want(exitDone, []string{"nothing runs; this is the state", "documents  2"}, "status")
	d.wantWhole()
}

func TestQuarantinedDocumentsAreListedWithTheReason(t *testing.T) {
	d := newDesk(t)
	d.write("docs/huge.md", strings.Repeat("x", 1001))
	d.want(exitQuarantined, []string{"1 quarantined"}, "dev", "--once")
	d.want(exitDone, []string{"(0 pending, 1 quarantined)"}, "status")
	var page control.Documents
	d.json(&page, "documents-list", "documents", "list", "--quarantined")
	if len(page.Documents) != 1 || page.Documents[0].ID != "page/huge.md" || page.Documents[0].Reason == "" || page.Documents[0].Rows != 0 {
		t.Errorf("got %+v", page)
	}
}

func TestTryPrintsWhatCameBeforeAFailure(t *testing.T) {
	d := newDesk(t)
	d.write("flow.yaml", strings.Replace(deskFlow, `body.title + "\n" + chunk.text`, `string(int(chunk.text))`, 1))
	d.write("bad.md", "# Bad\n\nNo number.\n")
	d.want(exitFailed, []string{"node body (parse.markdown) = ", "failed: evaluate `in` of node input"}, "try", "bad.md")
}

func TestReset(t *testing.T) {
	d := newDesk(t)
	d.want(exitDone, nil, "dev", "--once")
	if s := d.runWith("no\n", "reset"); s.code != exitUsage || !strings.Contains(s.err, "Type the flow's name") || !strings.Contains(s.err, "nothing was done") {
		t.Errorf("got %+v", s)
	}
	if s := d.runWith("handbook\n", "reset"); s.code != exitDone || !strings.Contains(s.out, "generation 2") {
		t.Errorf("got %+v", s)
	}
	d.want(exitDone, []string{"there is no state"}, "status")
	// A broker that is gone forgets the generation; the target does not.
	if err := os.RemoveAll(filepath.Join(d.dir, ".freshet")); err != nil {
		t.Fatal(err)
	}
	d.want(exitDone, nil, "reset", "--yes")
	d.want(exitDone, nil, "dev", "--once")
	var done resetDone
	d.json(&done, "reset", "reset", "--yes")
	if done.Generation != 3 || done.Wiped != 2 {
		t.Errorf("got %+v", done)
	}
	if err := os.Remove(filepath.Join(d.dir, "docs", "guide", "backup.md")); err != nil {
		t.Fatal(err)
	}
	d.dev(1)
	// What did not come back goes with the first full pass.
	d.until("only rows of the new generation are left", func() bool {
		var r control.SearchResult
		d.json(&r, "search", "search", "local", "database", "-k", "10")
		return len(r.Hits) == 2 && strings.HasPrefix(r.Hits[0].Version, "3.") && strings.HasPrefix(r.Hits[1].Version, "3.")
	})
}
