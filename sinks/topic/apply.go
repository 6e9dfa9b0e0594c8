package topic

import (
	"context"
	"iter"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// Apply writes a batch and its next offset in one transaction, in order. See stream.Sink.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	const doing = "write to"
	t, err := s.held(doing, b.Partition)
	if err != nil {
		return err
	}
	to := t.place
	if to.Next != b.From {
		return s.lost(doing, b.Partition)
	}
	writes, err := s.writes(b)
	if err != nil {
		return err
	}
	if writes, err = s.newer(ctx, b.Partition, to, writes); err != nil {
		return s.classed(doing, err)
	}
	to.Next = b.To
	var out []*kgo.Record
	for _, w := range writes {
		to.rises(w.version)
		out = append(out, w.record)
		// The rebuild does not read this delete, and the row may be staged already.
		if to.Rebuild != nil && w.dead && w.version.Offset >= to.Rebuild.End {
			out = append(out, s.staged(w.record))
		}
	}
	return s.classed(doing, t.step(ctx, to, list(out)))
}

// Stage writes a batch of a rebuild to the stage. See stream.Sink.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	const doing = "stage a rebuild of"
	t, err := s.held(doing, b.Partition)
	if err != nil {
		return err
	}
	to := t.place
	if to.Rebuild == nil || to.Rebuild.Next != b.From {
		return s.lost(doing, b.Partition)
	}
	writes, err := s.writes(b)
	if err != nil {
		return err
	}
	r := *to.Rebuild
	r.Next, to.Rebuild = b.To, &r
	var out []*kgo.Record
	for _, w := range writes {
		out = append(out, s.staged(w.record))
	}
	return s.classed(doing, t.step(ctx, to, list(out)))
}

// write is one write of a row.
type write struct {
	row     rowID
	version stream.Version
	dead    bool
	record  *kgo.Record
}

// rowID is a row's identity in the target.
type rowID struct {
	table         int
	document, key string
}

// writes are the records of a batch. A row that can't be written is an error before anything is sent.
func (s *Sink) writes(b stream.Batch) ([]write, error) {
	var out []write
	for _, u := range b.Units {
		of, at := map[string]int{}, map[string]int{}
		for i := range u.Rows {
			of[u.Rows[i].Table]++
		}
		for i := range u.Rows {
			r := &u.Rows[i]
			t := s.table(r.Table)
			if t == nil {
				return nil, stream.Errorf(stream.Internal, s.op("write to"), "table %q is not one of this target's", r.Table)
			}
			at[r.Table]++
			rec, err := s.record(t, b.Partition, r, at[r.Table], of[r.Table])
			if err != nil {
				return nil, err
			}
			out = append(out, write{rowID{t.index, r.Document, r.Key}, r.Version, r.Delete, rec})
		}
	}
	return out, nil
}

// newer leaves out writes whose version is below the one held. Invariant 3: what is above everything written so far, as it
// always is but after a place was put back, needs no look.
func (s *Sink) newer(ctx context.Context, partition int32, at place, writes []write) ([]write, error) {
	asked := map[rowID]int64{}
	for _, w := range writes {
		if w.version.Pack() < at.Above {
			asked[w.row] = -1
		}
	}
	if len(asked) == 0 {
		return writes, nil
	}
	for _, t := range s.tables {
		err := s.scanAll(ctx, t.topic, []int32{partition}, func(r *kgo.Record) error {
			e := entryOf(r, t.index, false)
			if _, ask := asked[rowID{e.Table, e.Document, e.Key}]; ask && e.Foreign == nil {
				asked[rowID{e.Table, e.Document, e.Key}] = e.Version
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	var out []write
	for _, w := range writes {
		if held, ask := asked[w.row]; !ask || held < w.version.Pack() {
			out = append(out, w)
		}
	}
	return out, nil
}

// staged is a record as it lies on the stage.
func (s *Sink) staged(r *kgo.Record) *kgo.Record {
	headers := append([]kgo.RecordHeader{{Key: headerTopic, Value: []byte(r.Topic)}}, r.Headers...)
	return &kgo.Record{Topic: s.names.stage, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: headers}
}

func list(records []*kgo.Record) iter.Seq2[*kgo.Record, error] {
	return func(yield func(*kgo.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}
