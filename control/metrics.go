package control

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/freshet-dev/freshet/stream/engine"
)

// Metrics is what a process serves as /metrics.
type Metrics struct{ Registry *prometheus.Registry }

// NewMetrics returns metrics of the Go runtime and the process; others may register theirs.
func NewMetrics() *Metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return &Metrics{r}
}

// handler serves the registered metrics and what the source's status says.
func (m *Metrics) handler(s Source) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), scrapeWithin)
		defer cancel()
		own := prometheus.NewRegistry()
		own.MustRegister(collector{s.Status(ctx), s.Loops()})
		promhttp.HandlerFor(prometheus.Gatherers{m.Registry, own}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}

// scrapeWithin bounds how long a scrape waits for Kafka to say where topics end.
const scrapeWithin = 2 * time.Second

// collector turns a status into metrics, so that both say the same.
type collector struct {
	status Status
	loops  []Loop
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("freshet_"+name, help, labels, nil)
}

var (
	changes      = desc("changes_total", "Changes of documents by how they ended; each is counted once. Pending ones are not in it yet.", "outcome")
	skipped      = desc("records_skipped_total", "Source records that are no change of a document, by kind.", "kind")
	evaluations  = desc("documents_evaluated_total", "Documents evaluated.")
	deletions    = desc("documents_deleted_total", "Documents deleted.")
	results      = desc("node_results_total", "Results of nodes: computed, or reused from memos.", "node", "how")
	rowRecords   = desc("rows_written_total", "Row records written to the rows topic.", "table", "op")
	documents    = desc("documents", "Documents in the state of this process's partitions.")
	pending      = desc("documents_pending", "Documents whose evaluation is not finished.")
	quarantined  = desc("documents_quarantined", "Documents that can't be processed until they change.")
	rejected     = desc("records_rejected", "Records in the state that could not be understood and name no document.")
	stateBytes   = desc("state_bytes", "Bytes of the state of this process's partitions by kind, before they are compressed.", "kind")
	stateMemos   = desc("state_memos", "Memos in the state of this process's partitions, by whether a document uses them.", "use")
	stateDisk    = desc("state_disk_bytes", "Bytes that the states of this process take on disk.")
	collected    = desc("memos_collected_total", "Memos deleted because no document had used them for the retention.")
	rows         = desc("rows", "Rows in the rows topic.", "table")
	backlog      = desc("documents_backlog", "Documents that wait for re-evaluation.")
	partitions   = desc("partitions", "Partitions of this process by state.", "state")
	sourceLag    = desc("source_lag_records", "Source records still to be processed.")
	targetLag    = desc("target_lag_records", "Offsets of the rows topic still to be applied to the target.", "target")
	freshness    = desc("freshness_seconds", "Age of the last change when it became visible in the target.", "target")
	rebuilding   = desc("target_rebuilding", "1 while the target is rebuilt from the rows topic.", "target")
	connected    = desc("target_connected", "1 while the target is connected.", "target")
	applied      = desc("target_rows_applied_total", "Row writes applied to the target.", "target")
	retries      = desc("target_retries_total", "Writes tried again because the target did not answer.", "target")
	fenced       = desc("target_fenced_total", "Writes refused because another replica took the partition over.", "target")
	transactions = desc("transactions_total", "Transactions of the processor.", "result")
	toRestore    = desc("restore_remaining_records", "Changelog records still to be applied before partitions are ready.")
	restoreRate  = desc("restore_bytes_per_second", "State restored now, over all partitions.")
	restoreTime  = desc("restore_remaining_seconds", "Until the last restore under way ends, at the pace so far.")
	standbys     = desc("standbys", "Partitions of other replicas whose state is followed.")
	standbyLag   = desc("standby_lag_records", "Changelog offsets that the standby furthest behind has still to read.")
	restored     = desc("restored_records_total", "Changelog records applied at assignment.")
	fetches      = desc("restore_fetches_total", "Fetches that returned changelog records.")
	divergence   = desc("state_divergence_total", "Partitions whose state did not match the committed offsets. Must be 0.")
	standstill   = desc("loop_still_seconds", "For how long a loop has neither turned nor waited for a broker or a target.", "loop")
	intakeLag    = desc("intake_lag_records", "Records of the sources still to be taken in.")
	takenIn      = desc("intake_records_total", "Records of the sources taken in; their changes are counted where they are processed.")
	intakeTx     = desc("intake_transactions_total", "Transactions of the intake.", "result")
	degraded     = desc("degraded", "Things that do not work now; status names them.")
)

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{changes, skipped, evaluations, deletions, results, rowRecords, documents, pending, quarantined,
		rejected, rows, backlog, partitions, sourceLag, targetLag, freshness, rebuilding, connected, applied, retries, fenced,
		transactions, toRestore, restoreRate, restoreTime, standbys, standbyLag, restored, fetches, divergence, standstill, intakeLag, takenIn, intakeTx, degraded} {
		out <- d
	}
}

// Collect implements prometheus.Collector. What is unknown is left out.
func (c collector) Collect(out chan<- prometheus.Metric) {
	s, g := c.status, gathering(out)
	g.counts(s)
	g.state(s)
	for _, t := range s.Targets {
		g.target(t)
	}
	g.counter(transactions, s.Transactions.Committed, "committed")
	g.counter(transactions, s.Transactions.Aborted, "aborted")
	g.gauge(toRestore, float64(s.Restore.Remaining))
	g.restores(s.Partitions)
	g.standbys(s.Standbys)
	g.counter(restored, s.Restore.Records)
	g.counter(fetches, s.Restore.Fetches)
	g.counter(divergence, s.Divergences)
	for _, l := range c.loops {
		g.gauge(standstill, l.Still.Seconds(), l.Name)
	}
	g.gauge(degraded, float64(len(s.Degraded)))
	if s.Intake != nil {
		g.intake(*s.Intake)
	}
}

type gathering chan<- prometheus.Metric

func (g gathering) counter(d *prometheus.Desc, n int64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}

func (g gathering) gauge(d *prometheus.Desc, x float64, labels ...string) {
	g <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, x, labels...)
}

func (g gathering) intake(s Intake) {
	if s.Lag != nil {
		g.gauge(intakeLag, float64(*s.Lag))
	}
	g.counter(takenIn, s.Records)
	g.counter(intakeTx, s.Transactions.Committed, "committed")
	g.counter(intakeTx, s.Transactions.Aborted, "aborted")
}

func (g gathering) restores(all []Partition) {
	var rate, seconds float64
	for _, p := range all {
		if p.Restore != nil {
			rate += p.Restore.BytesPerSecond
			seconds = max(seconds, p.Restore.Seconds)
		}
	}
	g.gauge(restoreRate, rate)
	g.gauge(restoreTime, seconds)
}

func (g gathering) standbys(all []Standby) {
	var lag int64
	for _, s := range all {
		lag = max(lag, s.Lag)
	}
	g.gauge(standbys, float64(len(all)))
	g.gauge(standbyLag, float64(lag))
}

func (g gathering) counts(s Status) {
	c := s.Counts
	g.counter(changes, c.Applied, "applied")
	g.counter(changes, c.Noop, "noop")
	g.counter(changes, c.Superseded, "superseded")
	g.counter(changes, c.Quarantined, "quarantined")
	g.counter(evaluations, c.Evaluated)
	g.counter(deletions, c.Deleted)
	g.counter(collected, c.Collected)
	for kind, n := range c.Other {
		g.counter(skipped, n, kind)
	}
	for name, n := range c.Nodes {
		g.counter(results, n.Computed, name, "computed")
		g.counter(results, n.Reused, name, "reused")
	}
	for name, t := range c.Tables {
		g.counter(rowRecords, t.Upserts, name, "upsert")
		g.counter(rowRecords, t.Deletes, name, "delete")
	}
}

func (g gathering) state(s Status) {
	t := Sum(s.Partitions)
	g.gauge(documents, float64(t.Documents))
	g.gauge(pending, float64(t.Pending))
	g.gauge(quarantined, float64(t.Quarantined))
	g.gauge(rejected, float64(t.Rejected))
	for table, n := range t.Rows {
		g.gauge(rows, float64(n), table)
	}
	g.gauge(stateDisk, float64(s.Disk))
	if t.Contents != nil {
		g.contents(*t.Contents)
	}
	waiting, byState := 0, map[string]int{"restoring": 0, "ready": 0, "re-evaluating": 0, "stopped": 0}
	for _, p := range s.Partitions {
		waiting += p.Backlog
		byState[p.State]++
	}
	g.gauge(backlog, float64(waiting))
	for state, n := range byState {
		g.gauge(partitions, float64(n), state)
	}
	if s.SourceLag != nil {
		g.gauge(sourceLag, float64(*s.SourceLag))
	}
}

func (g gathering) contents(c engine.Contents) {
	for kind, a := range map[string]engine.Amount{"documents": c.Documents, "inputs": c.Inputs, "rows": c.Rows, "memos": c.Memos,
		"unused_memos": c.Unused, "other": c.Other} {
		g.gauge(stateBytes, float64(a.Bytes), kind)
	}
	g.gauge(stateMemos, float64(c.Memos.Count), "used")
	g.gauge(stateMemos, float64(c.Unused.Count), "unused")
}

func (g gathering) target(t Target) {
	if t.Lag != nil {
		g.gauge(targetLag, float64(*t.Lag), t.Target)
	}
	if t.Freshness != nil {
		g.gauge(freshness, *t.Freshness, t.Target)
	}
	g.gauge(rebuilding, one(t.Rebuilding), t.Target)
	g.gauge(connected, one(t.Connected), t.Target)
	g.counter(applied, t.Rows, t.Target)
	g.counter(retries, t.Retries, t.Target)
	g.counter(fenced, t.Fenced, t.Target)
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
