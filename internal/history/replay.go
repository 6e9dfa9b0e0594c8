package history

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Process is a running process of a flow.
type Process interface {
	// Publish writes records to the source's topic and returns when they are durable.
	Publish(ctx context.Context, records []stream.Record) error
	// Settle returns when all that was published is processed, and visible in every target.
	Settle(ctx context.Context) error
	// Counts are what the process did since it started.
	Counts() engine.Counts
	// Held is what its state holds.
	Held() engine.Stats
	// Quarantined are the IDs of the documents that can't be processed.
	Quarantined() ([]string, error)
	// RowsEnd is the sum of the end offsets of the rows topic's partitions.
	RowsEnd(ctx context.Context) (int64, error)
	// Stop ends the process; its state stays.
	Stop() error
}

// Replay says what to replay through what. Start starts a process on the state that the one before left.
type Replay struct {
	Selection    Selection
	Start        func(ctx context.Context) (Process, error)
	Ledger       *Ledger
	Freshness    *Freshness
	Limit        int // commits; 0: all
	RestartEvery int // commits; 0: never
	// Done, when set, is told of each commit.
	Done func(Commit, CommitReport)

	live    map[string]Edit
	failed  []string // documents, quarantined at the end
	process Process
	before  engine.Counts // what the running process did before the commit
}

// Run replays the history. Commits that touch no file of the source are left out. When it fails, the report is of the
// commits before.
func (r *Replay) Run(ctx context.Context, from Reader) (report Report, err error) {
	r.live, report = map[string]Edit{}, newReport()
	defer func() {
		if r.process != nil {
			err = errors.Join(err, r.process.Stop())
		}
	}()
	for r.Limit == 0 || len(report.Commits) < r.Limit {
		commit, err := from.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return report, err
		}
		edits := r.Selection.edits(commit.Edits)
		report.Total.Skipped += int64(len(commit.Edits) - len(edits))
		if len(edits) == 0 {
			continue
		}
		if err := r.restart(ctx, len(report.Commits)); err != nil {
			return report, err
		}
		done, err := r.commit(ctx, commit, edits)
		if err != nil {
			return report, err
		}
		report.add(done)
	}
	return report, r.finish(&report)
}

// restart starts a process when there is none, and a new one when it is time.
func (r *Replay) restart(ctx context.Context, commits int) (err error) {
	if r.process != nil && (r.RestartEvery == 0 || commits%r.RestartEvery != 0) {
		return nil
	}
	if r.process != nil {
		err, r.process = r.process.Stop(), nil
		if err != nil {
			return err
		}
	}
	r.before = engine.Counts{}
	if r.process, err = r.Start(ctx); err != nil {
		return err
	}
	return r.process.Settle(ctx) // ready before the clock of the next commit starts
}

func (r *Replay) commit(ctx context.Context, c Commit, edits []Edit) (CommitReport, error) {
	report := CommitReport{Commit: c.ID, Edits: int64(len(edits))}
	records := make([]stream.Record, len(edits))
	for i, e := range edits {
		records[i] = r.Selection.Record(e, c.Time.UnixNano())
		r.enter(e)
	}
	var err error
	if report.Inputs, err = r.Ledger.Commit(ctx, records); err != nil {
		return report, err
	}
	r.Freshness.Begin()
	began := time.Now()
	if err := r.process.Publish(ctx, records); err != nil {
		return report, err
	}
	if err := r.process.Settle(ctx); err != nil {
		return report, err
	}
	report.Seconds = time.Since(began).Seconds()
	now := r.process.Counts()
	report.count(r.before, now)
	r.before = now
	if r.Done != nil {
		r.Done(c, report)
	}
	return report, nil
}

func (r *Replay) enter(e Edit) {
	if e.Delete {
		delete(r.live, e.Path)
		return
	}
	r.live[e.Path] = e
}

// finish fills in what is known at the end only.
func (r *Replay) finish(report *Report) (err error) {
	t := &report.Total
	if r.process == nil {
		return nil // nothing was replayed
	}
	if r.failed, err = r.process.Quarantined(); err != nil {
		return err
	}
	held := r.process.Held()
	t.Documents, t.Quarantined = int64(len(r.live)), held.Quarantined+held.Rejected
	for name, n := range held.Rows {
		table := t.Tables[name]
		table.Rows = n
		t.Tables[name] = table
	}
	t.Freshness = Percentiles{P50: r.Freshness.Quantile(0.5).Seconds(), P99: r.Freshness.Quantile(0.99).Seconds()}
	for _, e := range r.live {
		t.State.InputBytes += int64(len(e.Content))
	}
	if n := float64(r.Ledger.Computed(t.Nodes)); n > 0 {
		t.Factors = Factors{ChangedFiles: float64(t.Inputs.Changed) / n, EachCommit: float64(t.Inputs.Live) / n}
	}
	return nil
}

// Failed are the documents that were quarantined at the end; their last good rows stayed.
func (r *Replay) Failed() []string { return r.failed }

// Last returns the records of the last state: every live document, in order of path.
func (r *Replay) Last() []stream.Record {
	var out []stream.Record
	for _, path := range slices.Sorted(maps.Keys(r.live)) {
		out = append(out, r.Selection.Record(r.live[path], 0))
	}
	return out
}
