package engine

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// Sample is some of the documents that another program evaluated, to be evaluated under program for looking at what comes out. It writes
// nothing: the stores stay as they are, and results of costly operators are forgotten.
type Sample struct {
	Of int // documents that it was chosen from

	program Foreseer
	stores  map[int32]Store
	chosen  []chosen
}

type chosen struct {
	doc       stream.Fingerprint
	partition int32
}

// Sampled is a document of a sample: the rows that it has, and those that it would have.
type Sampled struct {
	Document  string
	Partition int32
	Held      []HeldRow
	Rows      []stream.Row // in order of (table, key)
	Refused   error        // it would be quarantined, for this reason, and keep the rows that it has
}

// HeldRow is a row that a document has, with the fingerprint of what the rows topic has of it.
type HeldRow emittedRow

// Choose takes n of the documents that another program evaluated, evenly by their fingerprints: the same ones each time, wherever they lie.
// It takes all where there are fewer. stores are those of all partitions.
func Choose(ctx context.Context, program Foreseer, stores map[int32]Store, n int) (*Sample, error) {
	s := &Sample{program: program, stores: stores}
	var all []chosen
	for id, store := range stores {
		err := Documents(store, func(h Header) error {
			if h.Logic != program.Logic() && !h.Input.IsZero() && !leaves(program, h.ID) {
				all = append(all, chosen{documentFingerprint(h.ID), id})
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(all, func(a, b chosen) int {
		return cmp.Or(bytes.Compare(a.doc[:], b.doc[:]), cmp.Compare(a.partition, b.partition))
	})
	s.Of = len(all)
	n = min(n, len(all))
	for i := range n {
		s.chosen = append(s.chosen, all[i*len(all)/n])
	}
	return s, nil
}

// Foresee tells what evaluating the sample comes to. It calls no costly operator.
func (s *Sample) Foresee(ctx context.Context, measure Measure) (Forecast, error) {
	f := newForecaster(s.program, slices.Collect(maps.Values(s.stores)), measure)
	for _, c := range s.chosen {
		h, err := s.header(c)
		if err != nil {
			return Forecast{}, err
		}
		f.own = s.stores[c.partition]
		if err := f.document(ctx, h); err != nil {
			return Forecast{}, err
		}
	}
	return f.forecast(), nil
}

func (s *Sample) header(c chosen) (h Header, err error) {
	v, found, err := s.stores[c.partition].Get(docKey(keyHeader, c.doc))
	if err == nil && !found {
		err = fmt.Errorf("header %x of partition %d is gone", c.doc, c.partition)
	}
	if err != nil {
		return h, err
	}
	return h, stream.Unmarshal(v, &h)
}

// Evaluate evaluates the sample as the flow would: results that any of the stores holds are used, equal inputs are computed once, calls are
// batched, and what may succeed later is tried again until ctx ends. maxRecord is Config.MaxRecord. The documents are in the order of the choice.
func (s *Sample) Evaluate(ctx context.Context, maxRecord int, events Events) ([]Sampled, error) {
	ctx, stop := context.WithCancel(ctx)
	e := NewEvaluator(ctx, s.program, &Totals{}, events)
	for id, store := range s.stores {
		defer e.Hold(id, store)() // only when nothing is evaluated any more
	}
	defer e.Wait()
	defer stop()
	running := make([]*Evaluation, len(s.chosen))
	for i, c := range s.chosen {
		ev, err := s.evaluation(c)
		if err != nil {
			return nil, err
		}
		running[i] = ev
		e.start(ctx, ev)
	}
	for waits := len(running); waits > 0; {
		select {
		case <-e.Wake():
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		for _, ev := range e.Finished() {
			if ev.err != nil && stream.KindOf(ev.err) != stream.Invalid {
				return nil, ev.err
			}
			waits--
		}
	}
	out := make([]Sampled, len(running))
	p := &Partition{config: Config{MaxRecord: maxRecord}, revision: s.program.Logic().String(), tables: tablePlans(s.program),
		columns: columnsOf(s.program.Tables())}
	for i, ev := range running {
		var err error
		if out[i], err = s.outcome(&Tx{p: p}, s.chosen[i], ev); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Sample) evaluation(c chosen) (*Evaluation, error) {
	h, err := s.header(c)
	if err != nil {
		return nil, err
	}
	store := s.stores[c.partition]
	input, err := ReadInput(store, h)
	return &Evaluation{Partition: c.partition, id: h.ID, doc: c.doc, input: input, own: store}, err
}

// outcome is what committing the evaluation would do.
func (s *Sample) outcome(t *Tx, c chosen, ev *Evaluation) (out Sampled, err error) {
	h, err := s.header(c)
	if err != nil {
		return out, err
	}
	held, err := emittedRows(s.stores[c.partition], &h)
	if err != nil {
		return out, err
	}
	out = Sampled{Document: h.ID, Partition: c.partition, Rows: ev.rows, Refused: ev.err}
	for _, r := range held {
		out.Held = append(out.Held, HeldRow(r))
	}
	if out.Refused == nil {
		out.Refused = t.fits(ev.memos)
	}
	if out.Refused == nil {
		now := make([]emittedRow, len(ev.rows))
		for i, r := range ev.rows {
			now[i] = emittedRow{Table: r.Table, Key: r.Key, Fingerprint: versionOf(t.p.columns[r.Table], r.Fingerprint())}
		}
		_, out.Refused = t.encodeRows(&document{id: h.ID, position: h.Position}, diff(h.ID, held, now, ev.rows, nil))
	}
	if out.Refused != nil && stream.KindOf(out.Refused) != stream.Invalid {
		return out, out.Refused
	}
	return out, nil
}
