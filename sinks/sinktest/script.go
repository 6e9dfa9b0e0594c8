package sinktest

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

const (
	flow       = "handbook"
	target     = "local"
	generation = 1
)

var origin = originOf("topic-1", generation)

func originOf(topicID string, generation int64) stream.Origin {
	return stream.Origin{Flow: flow, Target: target, TopicID: topicID, Generation: generation}
}

// tester is what the scripts need of a test, or of one run of a random one.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
	Cleanup(f func())
}

// writer is one sink instance with the place it has reached, so that cases read as scripts.
type writer struct {
	t    tester
	h    Harness
	sink stream.Sink
	next map[int32]int64
	gen  int64
}

// open makes and opens a sink; its tables must need nothing else.
func open(t tester, h Harness, tables ...stream.Table) *writer {
	t.Helper()
	w := newWriter(t, h, tables...)
	changed, err := w.sink.Open(t.Context(), flow, target)
	noError(t, err, "open")
	if len(changed) > 0 {
		t.Fatalf("open says that %q changed", changed)
	}
	return w
}

func newWriter(t tester, h Harness, tables ...stream.Table) *writer {
	t.Helper()
	sink, err := h.New(targetTables(tables))
	noError(t, err, "new")
	w := &writer{t: t, h: h, sink: sink, next: map[int32]int64{}, gen: generation}
	t.Cleanup(func() { _ = sink.Close() })
	return w
}

// start opens a sink on an empty target and takes partition 0.
func start(t tester, h Harness, tables ...stream.Table) *writer {
	t.Helper()
	w := open(t, h, tables...)
	w.begin(0)
	return w
}

// begin takes a partition that the target never held.
func (w *writer) begin(partition int32) {
	w.t.Helper()
	if a := w.assign(partition); a.TopicID != "" || a.Next != 0 || a.Rebuild != nil {
		w.t.Fatalf("assign of an unknown partition %d: %+v", partition, a)
	}
	noError(w.t, w.sink.Adopt(w.t.Context(), partition, origin, 0), "adopt")
}

// assign takes a partition and goes on where the target says.
func (w *writer) assign(partition int32) stream.Applied {
	w.t.Helper()
	a, err := w.sink.Assign(w.t.Context(), partition, origin)
	noError(w.t, err, "assign")
	w.next[partition] = a.Next
	return a
}

// close ends the writer, as a clean stop does.
func (w *writer) close() {
	w.t.Helper()
	noError(w.t, w.sink.Close(), "close")
}

// batch numbers the units' rows from the writer's place on, one record each.
func (w *writer) batch(partition int32, units ...stream.Unit) stream.Batch {
	return number(partition, w.gen, w.next[partition], units)
}

func number(partition int32, gen, from int64, units []stream.Unit) stream.Batch {
	b := stream.Batch{Partition: partition, From: from, To: from}
	for _, u := range units {
		rows := append([]stream.RowWrite(nil), u.Rows...)
		for i := range rows {
			rows[i].Version = stream.Version{Generation: gen, Offset: b.To}
			b.To++
		}
		b.Units = append(b.Units, stream.Unit{Document: u.Document, Rows: rows})
	}
	return b
}

// apply writes the units as one batch to partition 0, which must succeed.
func (w *writer) apply(units ...stream.Unit) {
	w.t.Helper()
	w.applyTo(0, units...)
}

func (w *writer) applyTo(partition int32, units ...stream.Unit) {
	w.t.Helper()
	b := w.batch(partition, units...)
	noError(w.t, w.sink.Apply(w.t.Context(), b), "apply")
	w.next[partition] = b.To
}

// read returns the table's rows as the target holds them.
func (w *writer) read(table string) []stream.RowWrite {
	w.t.Helper()
	rows, err := readRows(w.t, w.sink, table)
	noError(w.t, err, "read "+table)
	return rows
}

func readRows(t tester, sink stream.Sink, table string) ([]stream.RowWrite, error) {
	t.Helper()
	var rows []stream.RowWrite
	err := sink.(stream.Reader).ReadRows(t.Context(), table, func(r stream.RowWrite) error {
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// want compares a table with rows in order of (document, key). Versions and lineage are compared where given.
func (w *writer) want(table string, rows ...stream.RowWrite) {
	w.t.Helper()
	got := w.read(table)
	if len(got) != len(rows) {
		w.t.Fatalf("table %s has %d rows, want %d:\n got %v\nwant %v", table, len(got), len(rows), ids(got), ids(rows))
	}
	for i, want := range rows {
		w.sameRow(got[i], want)
	}
}

func (w *writer) sameRow(got, want stream.RowWrite) {
	w.t.Helper()
	if got.RowID != want.RowID {
		w.t.Fatalf("row %q, want %q", short(got.RowID), short(want.RowID))
	}
	if want.Version != (stream.Version{}) && got.Version != want.Version {
		w.t.Errorf("row %q has version %v, want %v", short(got.RowID), got.Version, want.Version)
	}
	if want.Lineage != nil && !sameJSON(got.Lineage, want.Lineage) {
		w.t.Errorf("row %q has lineage %s, want %s", short(got.RowID), got.Lineage, want.Lineage)
	}
	if len(got.Columns) != len(want.Columns) {
		w.t.Fatalf("row %q has %d columns, want %d", short(got.RowID), len(got.Columns), len(want.Columns))
	}
	for i, v := range want.Columns {
		if v = w.held(v); !got.Columns[i].Equal(v) {
			w.t.Errorf("row %q column %d: got %.200s, want %.200s", short(got.RowID), i, got.Columns[i], v)
		}
	}
	w.sameRounded(got, want)
}

// sameRounded compares a row with what the sink says that it gives back of it, to the last bit.
func (w *writer) sameRounded(got, want stream.RowWrite) {
	w.t.Helper()
	r, ok := w.sink.(stream.Rounder)
	if !ok {
		return
	}
	rounded, err := r.Round(want.Table, want.Columns)
	noError(w.t, err, "round")
	for i, v := range rounded {
		if stream.FingerprintOf(got.Columns[i]) != stream.FingerprintOf(v) {
			w.t.Errorf("row %q column %d: got %.200s, the sink says %.200s", short(got.RowID), i, got.Columns[i], v)
		}
	}
}

// inspects demands what a sink, which need not have taken the partition, says of it; only some sinks can.
func (w *writer) inspects(partition int32, want stream.Applied) {
	w.t.Helper()
	i, ok := w.sink.(stream.Inspector)
	if !ok {
		return
	}
	got, err := i.Inspect(w.t.Context(), partition)
	noError(w.t, err, "inspect")
	if !reflect.DeepEqual(got, want) {
		w.t.Errorf("partition %d is inspected as %+v, want %+v", partition, got, want)
	}
}

// held is v as this kind of target can hold it.
func (w *writer) held(v stream.Value) stream.Value {
	if v.Kind() != stream.Timestamp || w.h.Is.Resolution == 0 {
		return v
	}
	cut := time.Duration(v.Time().UnixNano()).Truncate(w.h.Is.Resolution)
	return stream.TimestampOf(time.Unix(0, int64(cut)))
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

func ids(rows []stream.RowWrite) []string {
	out := make([]string, 0, len(rows))
	for _, r := range rows[:min(len(rows), 20)] {
		out = append(out, short(r.RowID))
	}
	return out
}

func short(id stream.RowID) string {
	s := id.Table + "/" + id.Document + "/" + id.Key
	return s[:min(len(s), 120)]
}

func noError(t tester, err error, doing string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v (kind %s)", doing, err, stream.KindOf(err))
	}
}

func wantKind(t tester, err error, kind stream.ErrorKind, doing string) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error, want kind %s", doing, kind)
	}
	if got := stream.KindOf(err); got != kind {
		t.Fatalf("%s: kind %s, want %s: %v", doing, got, kind, err)
	}
}
