package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

const tableRecords = "freshet/table/"

// record is what the target notes of a table that a flow made. An empty declaration marks one that a later declaration
// left out; an empty shape, one that is being made.
type record struct {
	Name        string `json:"name"`
	Flow        string `json:"flow"`
	Target      string `json:"target"`
	Declaration string `json:"declaration"`
	Shape       string `json:"shape"`
	Dropped     bool   `json:"dropped,omitempty"` // the name is anybody's again: documents are not deleted
}

// declaration is a table's columns and layout as text.
func (t *Table) declaration() string {
	parts := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		parts[i] = fmt.Sprintf("%q %s", c.Name, c.Type)
	}
	text := "(" + strings.Join(parts, ", ") + ")"
	if t.Layout != "" {
		text += " " + t.Layout
	}
	return text
}

// Open connects, makes the tables that a new target lacks, and returns those that only Recreate can bring in step. See stream.Sink.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.flow, s.target = flow, target
	changed, err := s.open(ctx)
	return changed, s.said("open", err)
}

func (s *Sink) open(ctx context.Context) (changed []string, err error) {
	if err := s.store.Open(ctx); err != nil {
		return nil, err
	}
	begun, err := s.hasBegun(ctx)
	if err != nil {
		return nil, err
	}
	for i := range s.tables {
		t := &s.tables[i]
		ready, err := s.ready(ctx, t)
		switch {
		case err != nil || ready:
		case begun:
			changed = append(changed, t.Name)
		default:
			err = s.remake(ctx, t)
		}
		if err != nil {
			return nil, err
		}
	}
	return changed, s.markLeftOut(ctx)
}

// hasBegun says whether the target holds rows, so that a table that is absent lacks some.
func (s *Sink) hasBegun(ctx context.Context) (bool, error) {
	places, err := Places(ctx, s.store, s.flow, s.target)
	for _, p := range places {
		if p.Next > 0 || p.Rebuild != nil {
			return true, err
		}
	}
	return false, err
}

// ready reports whether a table is there as declared. A table of others is refused, and so is an altered one.
func (s *Sink) ready(ctx context.Context, t *Table) (bool, error) {
	r, d, shape, exists, err := s.look(ctx, t)
	if err != nil {
		return false, err
	}
	if err := s.own(t, r, d, exists); err != nil {
		return false, err
	}
	if exists && r.Shape != "" && r.Shape != shape {
		return false, s.refuse(t, "was altered by hand; undo that, or drop the table and rebuild the target. It is now: "+shape)
	}
	return exists && r.Shape != "" && r.Declaration == t.declaration(), nil
}

// look reads a table's record and its shape as of one moment. Race: a twin that makes the table notes it first. Were the
// record read only before the shape, both could happen in between, and the table would seem a stranger's.
func (s *Sink) look(ctx context.Context, t *Table) (r record, d Document, shape string, exists bool, err error) {
	for {
		_, before, err := s.record(ctx, t)
		if err != nil {
			return r, d, "", false, err
		}
		if shape, exists, err = s.store.Shape(ctx, t.As); err != nil {
			return r, d, "", false, err
		}
		if r, d, err = s.record(ctx, t); err != nil || d.Sequence == before.Sequence {
			return r, d, shape, exists, err
		}
	}
}

func (s *Sink) record(ctx context.Context, t *Table) (r record, d Document, err error) {
	d, err = s.store.Get(ctx, tableRecords+url.PathEscape(t.As))
	if err == nil && d.Sequence > 0 {
		err = json.Unmarshal(d.Body, &r)
	}
	return r, d, err
}

// own refuses a table that this target did not make.
func (s *Sink) own(t *Table, r record, d Document, exists bool) error {
	switch {
	case (d.Sequence == 0 || r.Dropped) && exists:
		return s.refuse(t, "exists already and was not made by this flow; move it away, or set `table` to another name")
	case d.Sequence > 0 && !r.Dropped && (r.Flow != s.flow || r.Target != s.target):
		return s.refuse(t, fmt.Sprintf("belongs to target %s of flow %s; set `table` to another name", r.Target, r.Flow))
	}
	return nil
}

func (s *Sink) refuse(t *Table, why string) error {
	return stream.Errorf(stream.Usage, s.op("open"), "table %q %s", t.As, why)
}

// make notes the table, creates it if it is absent, and notes its shape. Two processes that do this at once agree.
func (s *Sink) make(ctx context.Context, t *Table) error {
	r := record{Name: t.As, Flow: s.flow, Target: s.target, Declaration: t.declaration()}
	if err := s.note(ctx, t, r); err != nil {
		return err
	}
	if err := s.store.Create(ctx, *t); err != nil {
		return err
	}
	shape, exists, err := s.store.Shape(ctx, t.As)
	if err == nil && !exists {
		err = stream.Errorf(stream.Transient, s.op("open"), "table %q was dropped while it was made", t.As)
	}
	if err != nil {
		return err
	}
	r.Shape = shape
	return s.note(ctx, t, r)
}

func (s *Sink) note(ctx context.Context, t *Table, r record) error {
	for {
		_, d, err := s.record(ctx, t)
		if err != nil {
			return err
		}
		if _, err = s.swap(ctx, d, r); !errors.Is(err, ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
}

// remake replaces a table of another declaration, before anything is written to the new one noting that all is to be read
// again. A crash in between leaves the table absent, which Open sees. One of this declaration that is being made is not
// dropped: a twin may have finished it.
func (s *Sink) remake(ctx context.Context, t *Table) error {
	r, _, shape, exists, err := s.look(ctx, t)
	if err != nil {
		return err
	}
	ours := r.Declaration == t.declaration()
	switch {
	case exists && ours && r.Shape == shape:
		return nil // by a twin
	case exists && !(ours && r.Shape == ""):
		err = s.store.Drop(ctx, t.As)
	}
	if err != nil {
		return err
	}
	if err := s.noteRebuilds(ctx); err != nil {
		return err
	}
	return s.make(ctx, t)
}

// Recreate makes the named tables anew; every partition that holds anything is to be read again up to its next offset,
// under a new epoch. See stream.Sink.
func (s *Sink) Recreate(ctx context.Context, names []string) error {
	const doing = "recreate tables of"
	for i := range s.tables {
		t := &s.tables[i]
		if !slices.Contains(names, t.Name) {
			continue
		}
		r, d, _, exists, err := s.look(ctx, t)
		if err == nil {
			err = s.own(t, r, d, exists)
		}
		if err == nil {
			err = s.remake(ctx, t)
		}
		if err != nil {
			return s.said(doing, err)
		}
	}
	return nil
}

// noteRebuilds refuses all writers; a partition of which nothing was applied has nothing to be read again.
func (s *Sink) noteRebuilds(ctx context.Context) error {
	places, err := Places(ctx, s.store, s.flow, s.target)
	if err != nil {
		return err
	}
	for partition := range places {
		_, err := s.change(ctx, partition, func(p *place) error {
			s.raise(p)
			p.Owner = ""
			if end := p.reached(); end > 0 {
				p.Rebuild = &rebuildNote{End: end, Since: p.rowEpoch()}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// markLeftOut notes that this target's tables outside the declaration are not kept any more: should one come back, it
// lacks what happened meanwhile.
func (s *Sink) markLeftOut(ctx context.Context) error {
	docs, err := s.store.List(ctx, tableRecords)
	if err != nil {
		return err
	}
	for _, d := range docs {
		var r record
		if err := json.Unmarshal(d.Body, &r); err != nil {
			return fmt.Errorf("document %s: %w", d.Key, err)
		}
		kept := slices.ContainsFunc(s.tables, func(t Table) bool { return t.As == r.Name })
		if kept || r.Flow != s.flow || r.Target != s.target || r.Declaration == "" {
			continue
		}
		r.Declaration = ""
		if _, err := s.swap(ctx, d, r); err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return nil
}
