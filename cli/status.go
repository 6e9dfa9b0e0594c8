package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream/engine"
)

// newStatus is `freshet status`.
func newStatus(c *common) *cobra.Command {
	var watch, asJSON bool
	cmd := &cobra.Command{
		Use:   "status -f FLOW",
		Short: "Show what a flow holds, how far it is and what does not work",
		Long: "Show what a flow holds, how far it is and what does not work, added up over its replicas. When nothing runs, the " +
			"state on this machine is read; how far the targets are is not known then.",
		Args: cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second, until interrupted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, with --watch one line each time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		for {
			a, err := find()
			if err != nil {
				return err
			}
			if err := a.printStatus(cmd.Context(), cmd.OutOrStdout(), asJSON, watch); err != nil || !watch {
				return err
			}
			select {
			case <-time.After(time.Second):
			case <-cmd.Context().Done():
				return nil
			}
		}
	}
	return cmd
}

func (a *app) printStatus(ctx context.Context, out io.Writer, asJSON, clear bool) error {
	return a.look(ctx, func(running []*control.Client, unreachable []string, local localStores) error {
		o := overview{Flow: a.flow.Name, Running: len(running) > 0, Unreachable: unreachable, Replicas: []control.Status{}}
		err := o.gather(ctx, a, running, local)
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(out).Encode(o)
		}
		if clear {
			fmt.Fprint(out, "\033[H\033[2J")
		}
		o.print(out)
		return nil
	})
}

// overview is what `status` says of a flow.
type overview struct {
	Flow        string              `json:"flow"`
	Running     bool                `json:"running"`
	Revisions   []int64             `json:"revisions"`          // that replicas run, in order; several while one takes over
	Backfill    *control.Backfill   `json:"backfill,omitempty"` // over all replicas, while documents wait for re-evaluation
	Replicas    []control.Status    `json:"replicas"`
	Unreachable []string            `json:"unreachable,omitempty"` // replicas that can't be asked from here
	Partitions  []control.Partition `json:"partitions"`
	Totals      engine.Stats        `json:"totals"`
	Disk        int64               `json:"state_disk_bytes"` // of the replicas, or of the states on this machine when nothing runs
	SourceLag   *int64              `json:"source_lag"`
	IntakeLag   *int64              `json:"intake_lag,omitempty"` // of a flow of several sources whose intake runs
	Targets     []targetOverview    `json:"targets"`
	Degraded    []string            `json:"degraded"`
}

// targetOverview is a target over all replicas.
type targetOverview struct {
	Target     string   `json:"target"`
	Connected  bool     `json:"connected"`
	Rebuilding bool     `json:"rebuilding"`
	Lag        *int64   `json:"lag"`
	Freshness  *float64 `json:"freshness_seconds"` // of the replica that is worst
}

func (o *overview) gather(ctx context.Context, a *app, running []*control.Client, local localStores) error {
	o.Partitions, o.Degraded, o.Revisions = []control.Partition{}, []string{}, []int64{}
	for _, c := range running {
		s, err := c.Status(ctx)
		if err != nil && ctx.Err() == nil { // it answered a moment ago: it ends, or takes another revision over
			o.Unreachable = append(o.Unreachable, c.Address)
			continue
		}
		if err != nil {
			return err
		}
		o.Replicas = append(o.Replicas, s)
		o.Partitions = append(o.Partitions, s.Partitions...)
		o.Degraded = append(o.Degraded, s.Degraded...)
		o.Disk += s.Disk
		o.SourceLag = plus(o.SourceLag, s.SourceLag)
		o.Backfill = together(o.Backfill, s.Backfill)
		if s.Revision > 0 && !slices.Contains(o.Revisions, s.Revision) {
			o.Revisions = append(o.Revisions, s.Revision)
		}
		if s.Intake != nil {
			o.IntakeLag = plus(o.IntakeLag, s.Intake.Lag)
		}
	}
	for _, t := range a.flow.Targets {
		o.Targets = append(o.Targets, o.targetOverview(t.Name))
	}
	if err := o.addLocal(local); err != nil {
		return err
	}
	slices.Sort(o.Revisions)
	slices.SortFunc(o.Partitions, func(x, y control.Partition) int { return int(x.Partition - y.Partition) })
	o.Totals = control.Sum(o.Partitions)
	if !o.Running {
		for _, dir := range a.stateDirs() {
			o.Disk += statestore.SizeOf(dir)
		}
	}
	return nil
}

// together adds one replica's part of the backfill to that of others; it takes as long as the slowest.
func together(a, b *control.Backfill) *control.Backfill {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return &control.Backfill{Left: a.Left + b.Left, Paused: a.Paused || b.Paused, Rate: max(a.Rate, b.Rate),
		PerSecond: a.PerSecond + b.PerSecond, Seconds: max(a.Seconds, b.Seconds)}
}

// addLocal adds what the states on this machine say.
func (o *overview) addLocal(local localStores) error {
	for _, id := range local.Held() {
		stats, err := engine.ReadStats(local[id])
		if err != nil {
			return err
		}
		if stats.Rows == nil {
			stats.Rows = map[string]int64{}
		}
		at, _, err := local[id].Checkpoint()
		if err != nil {
			return err
		}
		o.Partitions = append(o.Partitions, control.Partition{Partition: id, State: "stored", Next: at.Input, Stats: stats})
	}
	return nil
}

// targetOverview leaves the lag unknown while nobody delivers some partition: right after a start none is behind, since none is assigned.
func (o *overview) targetOverview(name string) targetOverview {
	sum := targetOverview{Target: name}
	delivered, of := 0, 0
	for _, r := range o.Replicas {
		for _, t := range r.Targets {
			if t.Target != name {
				continue
			}
			sum.Connected = sum.Connected || t.Connected
			sum.Rebuilding = sum.Rebuilding || t.Rebuilding
			sum.Lag = plus(sum.Lag, t.Lag)
			delivered, of = delivered+len(t.Partitions), max(of, t.Of)
			if t.Freshness != nil && (sum.Freshness == nil || *t.Freshness > *sum.Freshness) {
				sum.Freshness = t.Freshness
			}
		}
	}
	if delivered < of {
		sum.Lag = nil
	}
	return sum
}

// plus adds what is known.
func plus(a, b *int64) *int64 {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	sum := *a + *b
	return &sum
}

// editions are those of the newest revision that a replica runs.
func (o *overview) editions() (all []control.Edition) {
	newest := int64(0)
	for _, r := range o.Replicas {
		if r.Revision > newest {
			newest, all = r.Revision, r.Editions
		}
	}
	return all
}

func besideText(table string) string {
	if table == "" {
		return ""
	}
	return "; " + table + " is kept beside it"
}

func (o *overview) print(out io.Writer) {
	if o.Running {
		fmt.Fprintf(out, "flow %s: %d running%s\n", o.Flow, len(o.Replicas), revisionsText(o.Revisions))
	} else if len(o.Partitions) > 0 {
		fmt.Fprintf(out, "flow %s: nothing runs; this is the state on this machine\n", o.Flow)
	} else {
		fmt.Fprintf(out, "flow %s: nothing runs, and there is no state on this machine\n", o.Flow)
		return
	}
	for _, address := range o.Unreachable {
		fmt.Fprintf(out, "  a replica at %s can't be reached from here: its part is missing below\n", address)
	}
	fmt.Fprintf(out, "  documents  %d (%s, %d quarantined)\n", o.Totals.Documents, o.pending(), o.Totals.Quarantined+o.Totals.Rejected)
	if o.IntakeLag != nil {
		fmt.Fprintf(out, "  intake     %s\n", behind(o.IntakeLag))
	}
	fmt.Fprintf(out, "  source     %s\n", behind(o.SourceLag))
	fmt.Fprintf(out, "  state      %s\n", o.state())
	for _, e := range o.editions() {
		fmt.Fprintf(out, "  table      %s shows %s%s\n", e.Table, e.Shown, besideText(e.Beside))
	}
	for _, t := range sortedKeys(o.Totals.Rows) {
		fmt.Fprintf(out, "  table      %s: %d rows\n", t, o.Totals.Rows[t])
	}
	for _, t := range o.Targets {
		fmt.Fprintf(out, "  target     %s: %s\n", t.Target, t.text(o.Running))
	}
	for _, p := range o.Partitions {
		if p.State != "ready" && p.State != "stored" {
			fmt.Fprintf(out, "  partition  %d: %s%s\n", p.Partition, p.State, waiting(p))
		}
	}
	if o.Backfill != nil {
		fmt.Fprintf(out, "  backfill   %s\n", backfillText(*o.Backfill))
	}
	for _, r := range o.Replicas {
		for _, s := range r.Standbys {
			if s.Warming {
				fmt.Fprintf(out, "  partition  %d: warms up on replica %d, %s\n", s.Partition, r.Replica, behind(known(s.Lag)))
			}
		}
	}
	for _, d := range o.Degraded {
		fmt.Fprintf(out, "  degraded   %s\n", d)
	}
}

// revisionsText says which revisions run.
func revisionsText(all []int64) string {
	switch len(all) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(", revision %d", all[0])
	}
	return fmt.Sprintf(", revisions %v: another one is being taken over", all)
}

// state says what the state consists of.
func (o *overview) state() string {
	text := sized(o.Disk) + " on disk"
	if c := o.Totals.Contents; c != nil {
		text += fmt.Sprintf("; documents %s, inputs %s, rows %s, %d memos in use %s, %d unused %s, other %s", sized(c.Documents.Bytes),
			sized(c.Inputs.Bytes), sized(c.Rows.Bytes), c.Memos.Count, sized(c.Memos.Bytes), c.Unused.Count, sized(c.Unused.Bytes),
			sized(c.Other.Bytes))
	}
	uncounted := 0
	for _, p := range o.Partitions {
		if p.State == "stored" && p.Stats.Contents == nil {
			uncounted++
		}
	}
	if uncounted > 0 {
		text += fmt.Sprintf("; not counted yet, since an earlier version wrote them: %d of the partitions", uncounted)
	}
	return text
}

// sized says a number of bytes.
func sized(n int64) string {
	switch {
	case n < 1e3:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

func (o *overview) pending() string {
	parked := 0
	for _, p := range o.Partitions {
		parked += p.Parked
	}
	if parked == 0 {
		return fmt.Sprintf("%d pending", o.Totals.Pending)
	}
	return fmt.Sprintf("%d pending, of them %d parked", o.Totals.Pending, parked)
}

func (t targetOverview) text(running bool) string {
	switch {
	case !running:
		return behind(nil)
	case !t.Connected:
		return "not connected"
	}
	text := behind(t.Lag)
	if t.Freshness != nil {
		text += fmt.Sprintf(", last change visible after %s", time.Duration(*t.Freshness*1e9).Round(time.Millisecond))
	}
	if t.Rebuilding {
		text += ", being rebuilt"
	}
	return text
}

// backfillText says how the backfill goes.
func backfillText(b control.Backfill) string {
	text := fmt.Sprintf("%d documents to be evaluated again", b.Left)
	switch {
	case b.Paused:
		return text + ", paused"
	case b.PerSecond > 0:
		text += fmt.Sprintf(", %.3g a second, %s left", b.PerSecond, time.Duration(b.Seconds*1e9).Round(time.Second))
	}
	if b.Rate > 0 {
		text += fmt.Sprintf(", no more than %g a second", b.Rate)
	}
	return text
}

// waiting says what a partition has still to do.
func waiting(p control.Partition) string {
	switch {
	case p.Backlog > 0:
		return fmt.Sprintf(", %d documents to go", p.Backlog)
	case p.Restore != nil && p.Restore.Seconds >= 0:
		return fmt.Sprintf(", %d records to go, %.1f MB/s, %s left", p.Restore.Remaining, p.Restore.BytesPerSecond/1e6,
			(time.Duration(p.Restore.Seconds * 1e9)).Round(time.Second))
	case p.Restore != nil:
		return fmt.Sprintf(", %d records to go", p.Restore.Remaining)
	}
	return ""
}

// known is nil for a lag that is not known yet.
func known(lag int64) *int64 {
	if lag < 0 {
		return nil
	}
	return &lag
}

// behind says a lag in words.
func behind(lag *int64) string {
	switch {
	case lag == nil:
		return "lag unknown"
	case *lag == 0:
		return "caught up"
	}
	return fmt.Sprintf("%d records behind", *lag)
}
