package cli

import (
	"context"
	"errors"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// witness is a process that is asked about a row; ErrNotHere says that another one may know.
type witness interface {
	Derive(ctx context.Context, id stream.RowID) (control.Derivation, error)
	Row(ctx context.Context, id stream.RowID, partition int32) (control.RowRecord, error)
	Held(ctx context.Context, q control.HeldQuery) (control.Held, error)
}

// askAll asks one after the other, until one knows.
func askAll[T any](all []witness, ask func(witness) (T, error)) (out T, err error) {
	err = control.ErrNotHere
	for _, w := range all {
		if out, err = ask(w); !errors.Is(err, control.ErrNotHere) {
			return out, err
		}
	}
	return out, err
}

// here is this process as a witness: with what it runs, or where no process does, with what lies on this machine.
type here struct {
	*app
	stores control.Stores
	sink   func(ctx context.Context, t flow.Target) (sink stream.Sink, release func(), err error)
}

// alone is this process while none of the flow runs.
func (a *app) alone(local localStores) here {
	return here{a, local, func(ctx context.Context, t flow.Target) (stream.Sink, func(), error) {
		sink, err := a.sinkToRead(ctx, t)
		return sink, func() { _ = sink.Close() }, err // nothing was written
	}}
}

// Derive implements control.Source.
func (h here) Derive(ctx context.Context, id stream.RowID) (control.Derivation, error) {
	d, found, err := control.Derive(ctx, h.stores, h.flow.Program, id)
	if err == nil && !found {
		err = control.ErrNotHere
	}
	return d, err
}

// Row implements control.Source.
func (h here) Row(ctx context.Context, id stream.RowID, partition int32) (r control.RowRecord, err error) {
	for _, t := range h.flow.Program.Tables() {
		if t.Name != id.Table {
			continue
		}
		last, before, err := h.cluster.LastRow(ctx, h.topics, t, id, partition)
		if err == nil && last == nil {
			err = control.ErrNotHere
		}
		if err != nil {
			return r, err
		}
		if r, err = h.record(t, last); err == nil && before != nil {
			var was control.RowRecord
			was, err = h.record(t, before)
			r.Before = &was
		}
		return r, err
	}
	return r, usagef("flow %s has no table %q", h.flow.Name, id.Table)
}

func (h here) record(t stream.Table, w *kafka.PlacedRow) (r control.RowRecord, err error) {
	if r, err = control.RowRecordOf(t, w.RowWrite, w.Partition); err == nil && !r.Deleted {
		r.LeftOut, err = h.leftOut(w.RowWrite)
	}
	return r, err
}

// leftOut names the targets that keep the row's table, and leave this row out.
func (h here) leftOut(w stream.RowWrite) ([]string, error) {
	names := []string{}
	for _, t := range h.flow.Targets {
		where := t.Where[w.Table]
		if where == nil {
			continue
		}
		shown, err := where(w.Columns)
		if err != nil {
			return names, err
		}
		if !shown {
			names = append(names, t.Name)
		}
	}
	return names, nil
}

// Held implements control.Source.
func (h here) Held(ctx context.Context, q control.HeldQuery) (out control.Held, err error) {
	out = control.Held{Target: q.Target}
	t, err := h.target(q.Target)
	if err != nil {
		return out, err
	}
	sink, release, err := h.sink(ctx, t)
	if err != nil {
		return out, err
	}
	defer release()
	if i, ok := sink.(stream.Inspector); ok && q.Partition >= 0 {
		a, err := i.Inspect(ctx, q.Partition)
		if err != nil {
			return out, err
		}
		if a.TopicID != h.topics.RowsID || a.Generation != h.topics.Generation.Generation {
			a.Next = 0 // it is still to begin with this rows topic
		}
		out.Next = &a.Next
	}
	err = readBack(ctx, sink, t, func(w stream.RowWrite) {
		meant := w.Key == q.Key && (q.Document == "" || w.Document == q.Document) && (q.Table == "" || w.Table == q.Table)
		if meant && len(out.Rows) < control.MaxHeld {
			out.Rows = append(out.Rows, control.HeldRow{Table: w.Table, Document: w.Document, Key: w.Key, Version: w.Version.String()})
		}
	})
	return out, err
}
