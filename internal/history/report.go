package history

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream/engine"
)

// CommitReport is what one commit cost.
type CommitReport struct {
	Commit  string                       `json:"commit"`
	Edits   int64                        `json:"edits"`
	Noop    int64                        `json:"noop"`
	Nodes   map[string]engine.NodeCount  `json:"nodes"`
	Tables  map[string]engine.TableCount `json:"tables"`
	Inputs  Inputs                       `json:"inputs"`
	Seconds float64                      `json:"seconds"` // from before it was published until every target showed it
}

// Report is what a replay cost.
type Report struct {
	Commits []CommitReport `json:"commits"`
	Total   Total          `json:"total"`
}

// Total sums up a replay.
type Total struct {
	Commits     int64                       `json:"commits"`
	Edits       int64                       `json:"edits"`
	Noop        int64                       `json:"noop"`
	Skipped     int64                       `json:"skipped"`     // edits of files that are not the source's
	Documents   int64                       `json:"documents"`   // live at the end
	Quarantined int64                       `json:"quarantined"` // at the end
	Nodes       map[string]engine.NodeCount `json:"nodes"`
	Tables      map[string]TableTotal       `json:"tables"`
	Inputs      Inputs                      `json:"inputs"` // of costly nodes, counted outside the engine
	Factors     Factors                     `json:"factors"`
	Seconds     float64                     `json:"seconds"`
	Freshness   Percentiles                 `json:"freshness_seconds"`
	State       State                       `json:"state"`
	Check       *Check                      `json:"check,omitempty"`
}

// TableTotal is what became of a table.
type TableTotal struct {
	Upserts int64 `json:"upserts"`
	Deletes int64 `json:"deletes"`
	Rows    int64 `json:"rows"` // at the end
}

// Factors say how many times more results of costly nodes would have been computed without reuse; 0: none was computed.
type Factors struct {
	ChangedFiles float64 `json:"changed_files"` // evaluating each changed file anew
	EachCommit   float64 `json:"each_commit"`   // building everything anew at each commit
}

// Percentiles are of the time from before a change is published until the last target shows it, in seconds.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// State compares the size of the local state with what it is there to keep, in bytes.
type State struct {
	Bytes           int64 `json:"bytes"`            // files of the processor's state, after a clean stop
	InputBytes      int64 `json:"input_bytes"`      // contents of the live documents
	VectorBytes     int64 `json:"vector_bytes"`     // vectors of all rows
	DistinctVectors int64 `json:"distinct_vectors"` // bytes of those that differ
}

// Check is the outcome of comparing the replayed tables with ones that were built from the last state alone.
type Check struct {
	Tables map[string]Difference `json:"tables"` // by target and table, "target.table"
	Again  Again                 `json:"again"`
	// Quarantined documents keep rows of an earlier version, which the last state alone can't give: they are left out.
	Quarantined int64 `json:"quarantined"`
	// Unlike are documents that only one of the two quarantined.
	Unlike []string `json:"unlike,omitempty"`
}

// Again is what publishing the last state once more caused: nothing, if all is well.
type Again struct {
	Documents int64 `json:"documents"`
	Computed  int64 `json:"computed"`
	Rows      int64 `json:"rows"` // records at the broker
}

// OK reports whether no difference was found.
func (c *Check) OK() bool {
	for _, d := range c.Tables {
		if !d.None() {
			return false
		}
	}
	return c.Again.Computed == 0 && c.Again.Rows == 0 && len(c.Unlike) == 0
}

// count sets what happened between two counts.
func (r *CommitReport) count(before, after engine.Counts) {
	r.Noop = after.Noop - before.Noop
	r.Nodes, r.Tables = map[string]engine.NodeCount{}, map[string]engine.TableCount{}
	for n, c := range after.Nodes {
		was := before.Nodes[n]
		r.Nodes[n] = engine.NodeCount{Computed: c.Computed - was.Computed, Reused: c.Reused - was.Reused}
	}
	for t, c := range after.Tables {
		was := before.Tables[t]
		r.Tables[t] = engine.TableCount{Upserts: c.Upserts - was.Upserts, Deletes: c.Deletes - was.Deletes}
	}
}

func newReport() Report {
	return Report{Commits: []CommitReport{}, Total: Total{Nodes: map[string]engine.NodeCount{}, Tables: map[string]TableTotal{}}}
}

func (r *Report) add(c CommitReport) {
	r.Commits = append(r.Commits, c)
	t := &r.Total
	t.Commits++
	t.Edits += c.Edits
	t.Noop += c.Noop
	t.Seconds += c.Seconds
	t.Inputs.add(c.Inputs)
	for n, k := range c.Nodes {
		sum := t.Nodes[n]
		t.Nodes[n] = engine.NodeCount{Computed: sum.Computed + k.Computed, Reused: sum.Reused + k.Reused}
	}
	for name, k := range c.Tables {
		sum := t.Tables[name]
		t.Tables[name] = TableTotal{Upserts: sum.Upserts + k.Upserts, Deletes: sum.Deletes + k.Deletes, Rows: sum.Rows}
	}
}

// Print writes the commits, when asked for, and the total.
func (r *Report) Print(out io.Writer, commits bool) {
	if commits {
		for _, c := range r.Commits {
			fmt.Fprintf(out, "%-12s %3d edits %3d no-ops %s %s  %.3f s\n", c.Commit, c.Edits, c.Noop, nodes(c.Nodes), tables(c.Tables), c.Seconds)
		}
		fmt.Fprintln(out)
	}
	r.Total.print(out)
}

func nodes(all map[string]engine.NodeCount) (text string) {
	for _, n := range slices.Sorted(maps.Keys(all)) {
		text += fmt.Sprintf(" %s %d+%d", n, all[n].Computed, all[n].Reused)
	}
	return text
}

func tables(all map[string]engine.TableCount) (text string) {
	for _, t := range slices.Sorted(maps.Keys(all)) {
		text += fmt.Sprintf(" %s +%d -%d", t, all[t].Upserts, all[t].Deletes)
	}
	return text
}

func (t *Total) print(out io.Writer) {
	fmt.Fprintf(out, "%d commits, %d edits, %d no-ops, %d documents at the end, %d quarantined, in %.1f s\n", t.Commits, t.Edits, t.Noop, t.Documents, t.Quarantined, t.Seconds)
	if t.Skipped > 0 {
		fmt.Fprintf(out, "%d edits were left out: their files are not the source's\n", t.Skipped)
	}
	for _, n := range slices.Sorted(maps.Keys(t.Nodes)) {
		fmt.Fprintf(out, "  node %-12s %7d computed %7d reused\n", n, t.Nodes[n].Computed, t.Nodes[n].Reused)
	}
	for _, name := range slices.Sorted(maps.Keys(t.Tables)) {
		k := t.Tables[name]
		fmt.Fprintf(out, "  table %-11s %7d written  %7d deleted %7d rows\n", name, k.Upserts, k.Deletes, k.Rows)
	}
	fmt.Fprintf(out, "inputs of costly nodes: %d that no live document held before their commit, %d that none ever held\n", t.Inputs.Unheld, t.Inputs.Unseen)
	fmt.Fprintf(out, "without reuse: %.1f × as many to evaluate each changed file anew, %.1f × to build everything anew at each commit\n",
		t.Factors.ChangedFiles, t.Factors.EachCommit)
	fmt.Fprintf(out, "freshness, published to visible: p50 %.0f ms, p99 %.0f ms\n", 1000*t.Freshness.P50, 1000*t.Freshness.P99)
	fmt.Fprintf(out, "state: %s; vectors of rows: %s, of these distinct: %s; documents: %s\n", size(t.State.Bytes), size(t.State.VectorBytes),
		size(t.State.DistinctVectors), size(t.State.InputBytes))
	if t.Check != nil {
		t.Check.print(out)
	}
}

func (c *Check) print(out io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(c.Tables)) {
		fmt.Fprintf(out, "check %s: %s\n", name, c.Tables[name])
	}
	if c.Quarantined > 0 {
		fmt.Fprintf(out, "check: %d quarantined documents were left out\n", c.Quarantined)
	}
	if len(c.Unlike) > 0 {
		fmt.Fprintf(out, "check: quarantined in one of the two only: %s\n", strings.Join(c.Unlike, ", "))
	}
	fmt.Fprintf(out, "check again: the last state of %d documents, published once more, computed %d and wrote %d rows\n", c.Again.Documents, c.Again.Computed, c.Again.Rows)
}

func size(n int64) string { return fmt.Sprintf("%.2f MiB", float64(n)/(1<<20)) }
