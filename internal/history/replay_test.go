package history_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// words is a program with one row, and one call of a costly node, for each word of a file.
type words struct{ stream.Program }

var say = &stream.Node{Name: "say", Costly: true, Memo: stream.FingerprintBytes([]byte("say"))}

func (words) Evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	var in []stream.Value
	for _, w := range strings.Fields(d.Input.Field("content").Str()) {
		if w == "bad" {
			return nil, stream.Errorf(stream.Invalid, "say", "bad word")
		}
		in = append(in, stream.StringOf(w))
	}
	_, err := calls.Call(ctx, say, in)
	return nil, err
}

// desk is a process that only counts: each word of a put is computed, each delete deletes a row.
type desk struct {
	log    *strings.Builder
	counts engine.Counts
	total  *int // rows written by all processes
	broken error
}

func (d *desk) Publish(_ context.Context, records []stream.Record) error {
	for _, r := range records {
		d.log.WriteString(" " + string(r.Key) + "=" + string(r.Value))
		n := int64(len(strings.Fields(string(r.Value))))
		d.counts.Add(engine.Counts{Noop: 1 - min(1, n), Nodes: map[string]engine.NodeCount{"say": {Computed: n, Reused: 1}},
			Tables: map[string]engine.TableCount{"words": {Upserts: n, Deletes: 1}}})
		*d.total += int(n)
	}
	return d.broken
}

func (d *desk) Settle(context.Context) error           { d.log.WriteString(" settled"); return nil }
func (d *desk) Stop() error                            { d.log.WriteString(" stopped\n"); return nil }
func (d *desk) Quarantined() ([]string, error)         { return []string{"page/c.md"}, nil }
func (d *desk) RowsEnd(context.Context) (int64, error) { return int64(*d.total), nil }
func (d *desk) Counts() (c engine.Counts)              { c.Add(d.counts); return c }
func (d *desk) Held() engine.Stats {
	return engine.Stats{Quarantined: 1, Rows: map[string]int64{"words": 7}}
}

// commits is a history in memory.
type commits []history.Commit

func (c *commits) Close() error { return nil }
func (c *commits) Next() (history.Commit, error) {
	if len(*c) == 0 {
		return history.Commit{}, io.EOF
	}
	next := (*c)[0]
	*c = (*c)[1:]
	return next, nil
}

func put(path, text string) history.Edit { return history.Edit{Path: path, Content: []byte(text)} }
func del(path string) history.Edit       { return history.Edit{Path: path, Delete: true} }
func commit(id string, edits ...history.Edit) history.Commit {
	return history.Commit{ID: id, Edits: edits}
}

// newReplay is a replay of files *.md, of at most 11 bytes, into desks.
func newReplay(log *strings.Builder, broken error) *history.Replay {
	total := 0
	return &history.Replay{
		Selection: history.Selection{Source: "page", Include: []string{"**/*.md"}, Exclude: []string{"drafts/**"}, MaxBytes: 11},
		Start: func(context.Context) (history.Process, error) {
			log.WriteString("started")
			return &desk{log: log, total: &total, broken: broken}, nil
		},
		Ledger:    history.NewLedger(words{}, schemas.NewFiles("page"), "page"),
		Freshness: history.NewFreshness(1),
	}
}

func TestReplay(t *testing.T) {
	var log strings.Builder
	r := newReplay(&log, nil)
	r.RestartEvery = 2
	var told []string
	r.Done = func(c history.Commit, r history.CommitReport) { told = append(told, c.ID+" "+r.Commit) }
	report, err := r.Run(t.Context(), &commits{
		commit("1", put("a.md", "one two"), put("main.go", "x")),
		commit("2", put("main.go", "y"), put("drafts/d.md", "d")),
		commit("3", put("a.md", "two three"), put("c.md", "one bad")),
		commit("4", put("b.md", "one one two"), put("big.md", "0123456789XY"), put("c.md", "three")),
		commit("5", del("a.md")),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "started settled page/a.md=one two settled page/a.md=two three page/c.md=one bad settled stopped\n" +
		"started settled page/b.md=one one two page/big.md= page/c.md=three settled page/a.md= settled stopped\n"
	if log.String() != want {
		t.Errorf("log:\n%s\nwant:\n%s", log.String(), want)
	}
	if !slices.Equal(told, []string{"1 1", "3 3", "4 4", "5 5"}) {
		t.Errorf("told of %v", told)
	}
	wantInputs := []history.Inputs{{2, 2, 2, 2}, {2, 2, 1, 1}, {4, 6, 1, 0}, {0, 4, 0, 0}}
	for i, c := range report.Commits {
		if c.Inputs != wantInputs[i] {
			t.Errorf("commit %s: inputs %+v, want %+v", c.Commit, c.Inputs, wantInputs[i])
		}
	}
	if got := r.Last(); len(got) != 3 || string(got[1].Key) != "page/big.md" || string(got[0].Value) != "one one two" {
		t.Errorf("last state %v", got)
	}
	checkTotal(t, report)
}

func checkTotal(t *testing.T, report history.Report) {
	t.Helper()
	total := report.Total
	total.Seconds = 0
	var out strings.Builder
	(&history.Report{Total: total}).Print(&out, false)
	const want = `4 commits, 7 edits, 2 no-ops, 3 documents at the end, 1 quarantined, in 0.0 s
3 edits were left out: their files are not the source's
  node say               10 computed       7 reused
  table words            10 written        7 deleted       7 rows
inputs of costly nodes: 4 that no live document held before their commit, 3 that none ever held
without reuse: 0.8 × as many to evaluate each changed file anew, 1.4 × to build everything anew at each commit
freshness, published to visible: p50 0 ms, p99 0 ms
state: 0.00 MiB; vectors of rows: 0.00 MiB, of these distinct: 0.00 MiB; documents: 0.00 MiB
`
	if out.String() != want {
		t.Errorf("report:\n%s\nwant:\n%s", out.String(), want)
	}
}

func TestReplayLimitAndFailure(t *testing.T) {
	var log strings.Builder
	r := newReplay(&log, nil)
	r.Limit = 1
	all := func() *commits { return &commits{commit("1", put("a.md", "one")), commit("2", put("a.md", "two"))} }
	if report, err := r.Run(t.Context(), all()); err != nil || len(report.Commits) != 1 {
		t.Errorf("%d commits, %v", len(report.Commits), err)
	}
	broken := errors.New("no broker")
	log.Reset()
	if _, err := newReplay(&log, broken).Run(t.Context(), all()); !errors.Is(err, broken) || !strings.HasSuffix(log.String(), "stopped\n") {
		t.Errorf("error %v, log %s", err, log.String())
	}
	log.Reset()
	if report, err := newReplay(&log, nil).Run(t.Context(), &commits{}); err != nil || report.Total.Commits != 0 || log.Len() != 0 {
		t.Errorf("an empty history: %+v, %v", report, err)
	}
	path := filepath.Join(t.TempDir(), "history.ndjson")
	write(t, path, recording+"{}")
	in, err := history.OpenCorpus(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if report, err := newReplay(&log, nil).Run(t.Context(), in); stream.KindOf(err) != stream.Usage || len(report.Commits) != 1 {
		t.Errorf("%d commits, %v", len(report.Commits), err)
	}
}
