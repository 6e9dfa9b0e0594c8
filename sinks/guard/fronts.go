package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/freshet-dev/freshet/stream"
)

// Fronts is a Store that can show tables under other names.
type Fronts interface {
	// Front returns which table of the target a front shows, "" when there is none; taken says that the name is something else's.
	Front(ctx context.Context, front string) (table string, taken bool, err error)
	// Switch makes each front show its table, all in one step.
	Switch(ctx context.Context, tables map[string]string) error
}

const frontRecords = "freshet/front/"

// front is what the target notes of a front before it makes one.
type front struct {
	Name   string `json:"name"`
	Flow   string `json:"flow"`
	Target string `json:"target"`
}

// Show implements stream.Fronter, for a store with fronts.
func (s *Sink) Show(ctx context.Context, tables []string) error {
	return s.said("show tables of", s.show(ctx, tables))
}

func (s *Sink) show(ctx context.Context, tables []string) error {
	fronts, ok := s.store.(Fronts)
	if !ok {
		return errors.New("the target has no fronts")
	}
	shown := map[string]string{}
	for _, name := range tables {
		t := s.byName[name]
		if t == nil || t.Front == "" {
			return fmt.Errorf("table %q is not shown by a front", name)
		}
		if err := s.ownFront(ctx, fronts, t); err != nil {
			return err
		}
		shown[t.Front] = t.As
	}
	return fronts.Switch(ctx, shown)
}

// ownFront notes that a front is this target's, unless it is something else's.
func (s *Sink) ownFront(ctx context.Context, fronts Fronts, t *Table) error {
	d, err := s.store.Get(ctx, frontRecords+url.PathEscape(t.Front))
	if err != nil {
		return err
	}
	var noted front
	if d.Sequence > 0 {
		if err := json.Unmarshal(d.Body, &noted); err != nil {
			return fmt.Errorf("document %s: %w", d.Key, err)
		}
	}
	table, taken, err := fronts.Front(ctx, t.Front)
	if err != nil {
		return err
	}
	ours := front{t.Front, s.flow, s.target}
	switch {
	case taken, noted != ours && table != "", noted != ours && d.Sequence > 0:
		return stream.Errorf(stream.Usage, s.op("show a table of"), "%q exists already and was not made by this flow; move it away, or set `table` of %s to "+
			"another name", t.Front, t.Name)
	case noted == ours:
		return nil
	}
	_, err = s.swap(ctx, d, ours)
	if errors.Is(err, ErrConflict) { // a twin notes the same
		return nil
	}
	return err
}

// Shown implements stream.Fronter, for a store with fronts.
func (s *Sink) Shown(ctx context.Context) (map[string]string, error) {
	shown := map[string]string{}
	fronts, ok := s.store.(Fronts)
	for i := range s.tables {
		t := &s.tables[i]
		if !ok || t.Front == "" {
			continue
		}
		table, _, err := fronts.Front(ctx, t.Front)
		if err != nil {
			return nil, s.said("look at the fronts of", err)
		}
		if table == t.As {
			shown[t.Front] = t.Name
		}
	}
	return shown, nil
}

// Retire implements stream.Fronter, for a store with fronts. The records of what it drops stay.
func (s *Sink) Retire(ctx context.Context) error {
	docs, err := s.store.List(ctx, tableRecords)
	if err != nil {
		return s.said("drop tables of", err)
	}
	for _, d := range docs {
		var r record
		if err := json.Unmarshal(d.Body, &r); err != nil {
			return s.said("drop tables of", fmt.Errorf("document %s: %w", d.Key, err))
		}
		if r.Flow != s.flow || r.Target != s.target || r.Declaration != "" || !s.wasEdition(r.Name) {
			continue
		}
		if err := s.store.Drop(ctx, r.Name); err != nil {
			return s.said("drop tables of", err)
		}
	}
	return nil
}

// wasEdition reports whether a table that is not declared was an edition that a front of a declared table showed, or was to show.
func (s *Sink) wasEdition(name string) bool {
	for _, t := range s.tables {
		if t.Front != "" && stream.IsEditionOf(name, t.Front) {
			return true
		}
	}
	return false
}
