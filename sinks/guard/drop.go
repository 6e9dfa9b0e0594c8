package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

var _ stream.Dropper = (*Sink)(nil)

// Drop removes the tables of this target's own making that it was made with, and other editions of them: a store knows no others. Bookkeeping can't be deleted: it says
// that the names are free, and that no partition was ever held. See stream.Dropper.
func (s *Sink) Drop(ctx context.Context) error { return s.said("drop", s.drop(ctx)) }

func (s *Sink) drop(ctx context.Context) error {
	places, err := Places(ctx, s.store, s.flow, s.target)
	if err != nil {
		return err
	}
	for partition := range places {
		_, err := s.change(ctx, partition, func(p *place) error { // first, so that nobody writes to what is dropped
			s.raise(p)
			*p = place{Partition: p.Partition, Epoch: p.Epoch}
			return nil
		})
		if err != nil {
			return err
		}
	}
	docs, err := s.store.List(ctx, tableRecords)
	if err != nil {
		return err
	}
	for _, d := range docs {
		if err := s.dropTable(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sink) dropTable(ctx context.Context, d Document) error {
	var r record
	if err := json.Unmarshal(d.Body, &r); err != nil {
		return fmt.Errorf("document %s: %w", d.Key, err)
	}
	known := slices.ContainsFunc(s.tables, func(t Table) bool { return t.As == r.Name })
	if !known && !s.wasEdition(r.Name) || r.Flow != s.flow || r.Target != s.target || r.Dropped {
		return nil
	}
	if err := s.store.Drop(ctx, r.Name); err != nil {
		return err
	}
	_, err := s.swap(ctx, d, record{Name: r.Name, Flow: r.Flow, Target: r.Target, Dropped: true})
	if errors.Is(err, ErrConflict) {
		return stream.Errorf(stream.Transient, s.op("drop"), "table %q was made anew meanwhile", r.Name)
	}
	return err
}
