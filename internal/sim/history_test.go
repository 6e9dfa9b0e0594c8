//go:build synctests

package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// history follows the rows topic, record by record, as a plain consumer reads it.
type history struct {
	model *model
	next  map[int32]int64
	eyes  map[int32]*eye
	open  map[int32]*unit
	by    map[int32]int64 // revision that wrote the partition's last row, at least
}

// unit is a document's rows, of which the last have not come yet.
type unit struct {
	doc   string
	at, n int
}

func newHistory(m *model) *history {
	return &history{model: m, next: map[int32]int64{}, eyes: map[int32]*eye{}, open: map[int32]*unit{}, by: map[int32]int64{}}
}

// read consumes a topic from the given offsets to its end, committed records only.
func (w *world) read(topic string, from map[int32]int64, each func(r *kgo.Record)) error {
	ends, offsets := map[int32]int64{}, map[int32]kgo.Offset{}
	for _, i := range w.broker.PartitionInfos(topic) {
		if i.LastStableOffset > max(from[i.Partition], i.LogStartOffset) {
			ends[i.Partition] = i.LastStableOffset
			offsets[i.Partition] = kgo.NewOffset().At(from[i.Partition])
		}
	}
	if len(ends) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.flow.Brokers...), kgo.Dialer(w.dial), kgo.DisableClientMetrics(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for len(ends) > 0 {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return fmt.Errorf("read topic %s: not at its ends %v", topic, ends)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, open := ends[r.Partition]
			if !open {
				return
			}
			if r.Offset >= end-1 {
				delete(ends, r.Partition)
			}
			if r.Offset < end {
				from[r.Partition] = r.Offset + 1
				each(r)
			}
		})
	}
	return nil
}

// follow reads what is new on the rows topic: every unit whole, every record of use, every document in source order.
func (w *world) follow() {
	h := w.rows
	if err := w.read(flowName+".rows", h.next, func(r *kgo.Record) { w.row(h, r) }); err != nil {
		w.fault("%v", err)
	}
	for p, u := range h.open {
		w.fault("rows partition %d ends in the middle of a unit of %s (%d of %d)", p, u.doc, u.at, u.n)
	}
}

func (w *world) row(h *history, r *kgo.Record) {
	at := fmt.Sprintf("rows %d@%d", r.Partition, r.Offset)
	if r.Attrs.IsControl() {
		if u := h.open[r.Partition]; u != nil {
			w.fault("%s: a transaction ends in the middle of a unit of %s (%d of %d)", at, u.doc, u.at, u.n)
			delete(h.open, r.Partition)
		}
		return
	}
	rec := streamRecord(r)
	_, doc, i, n, ok := schemas.RowHeader(rec)
	if !ok {
		return // a mark
	}
	u := h.open[r.Partition]
	if u == nil {
		u = &unit{doc: doc, n: n}
		h.open[r.Partition] = u
	}
	if u.doc != doc || u.n != n || u.at+1 != i {
		w.fault("%s: record %d of %d of %s comes after %d of %d of %s", at, i, n, doc, u.at, u.n, u.doc)
	}
	u.at = i
	eye := h.eyes[r.Partition]
	if eye == nil {
		eye = newEye(w.model)
		h.eyes[r.Partition] = eye
	}
	row, _, _, err := schemas.DecodeRow(rec, tables)
	if err != nil {
		w.fault("%s: %v", at, err)
		return
	}
	text := ""
	if !row.Delete {
		text = row.Columns[0].Str()
		w.writer(h, r.Partition, at, row.Lineage)
	}
	if !eye.put(row.RowID, row.Delete, text) {
		w.fault("%s: duplicated: row %q of %s is written again without a change", at, row.Key, doc)
	}
	if i == n {
		delete(h.open, r.Partition)
		if err := eye.look(doc, true); err != nil {
			w.fault("%s: %v", at, err)
		}
	}
}

// writer checks that a partition does not go back to an older revision: a logic that came before comes again only with a newer one.
func (w *world) writer(h *history, partition int32, at string, lineage []byte) {
	var l schemas.Lineage
	if err := json.Unmarshal(lineage, &l); err != nil {
		w.fault("%s: the lineage: %v", at, err)
		return
	}
	by := max(1, h.by[partition])
	for by < h.by[partition]+logics && logicOf(by).String() != l.Revision {
		by++
	}
	if by > w.revision {
		w.fault("%s: the partition went back from revision %d to the logic %s", at, h.by[partition], l.Revision)
		return
	}
	h.by[partition] = by
}

// tables are the declared ones.
var tables = map[string]stream.Table{"lines": (*lines)(nil).Tables()[0]}

func streamRecord(r *kgo.Record) *stream.Record {
	out := &stream.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, stream.Header{Key: h.Key, Value: h.Value})
	}
	return out
}

// ending checks, once all is settled, what the topics hold: the rows topic alone gives what the model says, and the
// changelog's progress counts every change of the source once. After a reset targets hold a document's rows already while it is
// still evaluated, so both are waited for.
func (w *world) ending() {
	deadline := time.Now().Add(patience)
	for {
		w.follow()
		w.complete()
		faults := w.compare(w.rows.shown())
		if why := w.miscounted(); why != "" {
			faults = append(faults, why)
		}
		for _, p := range w.live() {
			if b := p.proc.Backfill(); b != nil {
				faults = append(faults, fmt.Sprintf("replica %d has %d documents of another revision", p.replica, b.Left))
			}
		}
		if len(faults) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, fault := range faults {
				w.fault("rows topic and changelog: %s", fault)
			}
			return
		}
		w.wait(5 * time.Second)
	}
}

// shown are the rows of each document that has some.
func (h *history) shown() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, eye := range h.eyes {
		for doc, rows := range eye.rows {
			if len(rows) > 0 {
				all[doc] = rows
			}
		}
	}
	return all
}

// miscounted says which partition's progress does not count each change of the source exactly once (invariant 8).
func (w *world) miscounted() string {
	last, states := map[int32]*kgo.Record{}, replayed{}
	from := map[int32]int64{}
	err := w.read(flowName+".changelog", from, func(r *kgo.Record) {
		if !r.Attrs.IsControl() {
			last[r.Partition] = r
			states.add(r)
		}
	})
	if err != nil {
		return err.Error()
	}
	if err := states.wrong(); err != nil {
		return err.Error()
	}
	ends, why := w.inputEnds()
	if why != "" {
		return why
	}
	w.model.mu.Lock()
	defer w.model.mu.Unlock()
	for p, sent := range w.model.sent {
		if last[p] == nil {
			return fmt.Sprintf("changelog partition %d is empty", p)
		}
		progress, err := schemas.DecodeProgress(streamRecord(last[p]))
		if err != nil {
			return "the last record of a changelog partition: " + err.Error()
		}
		c := progress.Counts
		if n := c.Applied + c.Noop + c.Superseded + c.Quarantined; n != sent || c.Other != 0 || progress.Input[w.source.Topic] < ends[p] {
			return fmt.Sprintf("partition %d had %d changes, progress at source offset %d counts %+v", p, sent, progress.Input[w.source.Topic], c)
		}
	}
	return ""
}
