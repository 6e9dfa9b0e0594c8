//go:build bench

package noop

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/bench/workload"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/sinks/sqlite"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// bed is one partition in memory, without Kafka and without a disk: what an engine alone takes for a record.
type bed struct {
	b      *testing.B
	part   *engine.Partition
	store  *statestore.Memory
	ev     *engine.Evaluator
	offset int64
}

func newBed(b *testing.B) *bed {
	file := filepath.Join(b.TempDir(), "noop.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, flowText, "localhost:9092", "shop.public.orders"), 0o644); err != nil {
		b.Fatal(err)
	}
	f, err := flow.Load(file, "", &flow.Registry{Sources: map[string]stream.SourceSpec{"debezium": schemas.DebeziumSpec()},
		Sinks: map[string]stream.SinkSpec{"sqlite": sqlite.Spec()}})
	if err != nil {
		b.Fatal(err)
	}
	source := f.Sources[0]
	s := &bed{b: b, store: statestore.NewMemory(), ev: engine.NewEvaluator(b.Context(), f.Program, &engine.Totals{}, engine.Events{})}
	s.part, err = engine.OpenPartition(0, s.store, engine.Config{Program: f.Program, Source: source.Name,
		Decoder: schemas.NewDebezium(source.Name, source.Fields, source.Settings), MaxRecord: 1 << 20,
		Now: func() int64 { return time.Now().UnixNano() }}, false)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// records are events as a processor hands them over.
func (s *bed) records(o *workload.Orders, n int) []stream.Record {
	events := o.Created()
	if n > 0 {
		events = o.Changed(n)
	}
	out := make([]stream.Record, len(events))
	for i, e := range events {
		out[i] = stream.Record{Topic: "shop.public.orders", Offset: s.offset, Key: e.Key, Value: e.Value}
		s.offset++
	}
	return out
}

// transact folds, evaluates and applies the records in one transaction.
func (s *bed) transact(records []stream.Record) {
	tx := s.part.Begin()
	for i := range records {
		if err := tx.Fold(&records[i]); err != nil {
			s.b.Fatal(err)
		}
	}
	if err := tx.Settle(s.b.Context(), s.ev); err != nil {
		s.b.Fatal(err)
	}
	for tx.Open() > 0 {
		<-s.ev.Wake()
		for _, ev := range s.ev.Finished() {
			tx.Take(ev)
		}
	}
	out, err := tx.Finish()
	if err != nil {
		s.b.Fatal(err)
	}
	if err := s.store.Apply(out.Entries, stream.Checkpoint{}); err != nil {
		s.b.Fatal(err)
	}
	tx.Commit()
}

// BenchmarkEngine: an operation is one record of the same mix that TestThroughput has.
func BenchmarkEngine(b *testing.B) {
	const perTransaction, most = 2000, 40_000
	s, o := newBed(b), workload.NewOrders(6000, 1)
	s.transact(s.records(o, 0))
	b.ReportAllocs()
	var spent time.Duration
	for done := 0; done < b.N; {
		b.StopTimer()
		records := s.records(o, min(most, b.N-done))
		b.StartTimer()
		began := spentByUs()
		for from := 0; from < len(records); from += perTransaction {
			s.transact(records[from:min(len(records), from+perTransaction)])
		}
		spent += spentByUs() - began
		done += len(records)
	}
	b.ReportMetric(float64(spent.Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// spentByUs is the time that this process has spent on processors: unlike the time that passed, it says something on a
// machine that others use too.
func spentByUs() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err) // it fails for wrong arguments only
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
