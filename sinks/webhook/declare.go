package webhook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// tries bounds how often tables are asked for while others change them.
const tries = 100

// Open asks the receiver what it holds, has it make the tables that a new target lacks, and returns those that only Recreate can bring in step.
// See stream.Sink.
func (s *Sink) Open(ctx context.Context, flow, target string) (changed []string, err error) {
	s.flow, s.target = flow, target
	const doing = "open"
	for range tries {
		held, err := s.state(ctx, doing)
		if err != nil {
			return nil, err
		}
		absent, changed, err := s.compare(doing, held)
		if err != nil {
			return nil, err
		}
		left := s.leftOut(held)
		if len(absent)+len(left) == 0 {
			return changed, nil
		}
		again, err := s.make(ctx, doing, &request{Do: "make", Tables: absent, Left: left})
		if err != nil || !again {
			return changed, err
		}
	}
	return nil, s.busy(doing)
}

func (s *Sink) busy(doing string) error {
	return stream.Errorf(stream.Transient, s.op(doing), "the receiver refused %d times to make tables, as if others made them at the same time", tries)
}

// compare says which tables are absent from a target that has not begun, and which need to be made anew.
func (s *Sink) compare(doing string, held answer) (absent []tableRecord, changed []string, err error) {
	begun := slices.ContainsFunc(held.Places, func(p place) bool { return p.Next > 0 || p.Rebuild != nil })
	for _, t := range s.tables {
		r, err := s.own(doing, t, held)
		switch {
		case err != nil:
			return nil, nil, err
		case r == nil && !begun:
			absent = append(absent, s.record(t))
		case r == nil, r.Declaration != declarationOf(t.columns()):
			changed = append(changed, t.Name)
		}
	}
	return absent, changed, nil
}

// own finds what the receiver keeps of a table, nil when it has none. A table of others is refused, and so is one that was altered by hand.
func (s *Sink) own(doing string, t *table, held answer) (*tableRecord, error) {
	i := slices.IndexFunc(held.Tables, func(r tableRecord) bool { return r.Name == t.as })
	if i < 0 {
		return nil, nil
	}
	r := &held.Tables[i]
	refuse := func(why string) (*tableRecord, error) {
		return nil, stream.Errorf(stream.Usage, s.op(doing), "the receiver's table %q %s", t.as, why)
	}
	switch {
	case r.Flow == "" && r.Target == "":
		return refuse("exists already and was not made by this flow; move it away, or set `table` to another name")
	case r.Flow != s.flow || r.Target != s.target:
		return refuse(fmt.Sprintf("belongs to target %s of flow %s; set `table` to another name", r.Target, r.Flow))
	case r.Declaration != "" && r.Declaration != declarationOf(r.Columns):
		return refuse("was altered by hand; undo that, or drop the table and rebuild the target. It is now: " + declarationOf(r.Columns))
	}
	return r, nil
}

func (s *Sink) record(t *table) tableRecord {
	return tableRecord{Name: t.as, Flow: s.flow, Target: s.target, Columns: t.columns(), Declaration: declarationOf(t.columns())}
}

// leftOut names this target's tables that are not declared any more: should one come back, it lacks what happened meanwhile.
func (s *Sink) leftOut(held answer) (names []string) {
	for _, r := range held.Tables {
		kept := slices.ContainsFunc(s.tables, func(t *table) bool { return t.as == r.Name })
		if !kept && r.Flow == s.flow && r.Target == s.target && r.Declaration != "" {
			names = append(names, r.Name)
		}
	}
	return names
}

// Recreate has the receiver make the named tables anew and raise the epoch of every partition, in one transaction; those that hold anything are to
// be read again up to what they had reached. See stream.Sink.
func (s *Sink) Recreate(ctx context.Context, names []string) error {
	const doing = "recreate tables of"
	for range tries {
		held, err := s.state(ctx, doing)
		if err != nil {
			return err
		}
		r := &request{Do: "make", Replace: true}
		for _, t := range s.tables {
			had, err := s.own(doing, t, held)
			if err != nil {
				return err
			}
			want := s.record(t)
			if slices.Contains(names, t.Name) && (had == nil || had.Declaration != want.Declaration) {
				r.Tables = append(r.Tables, want)
			}
		}
		if len(r.Tables) == 0 {
			return nil // made by a twin meanwhile
		}
		for _, p := range held.Places {
			r.Places = append(r.Places, raise(p))
		}
		if again, err := s.make(ctx, doing, r); err != nil || !again {
			return err
		}
	}
	return s.busy(doing)
}

// raise refuses the place's writer; a partition of which nothing was applied has nothing to be read again.
func raise(p place) raised {
	r := raised{Partition: p.Partition, Was: p.Epoch, Epoch: max(p.Epoch+1, time.Now().UnixMilli())}
	end := p.Next
	if p.Rebuild != nil {
		end = max(end, p.Rebuild.End)
	}
	if end > 0 {
		r.Rebuild = rebuildOf(p.Generation, end)
	}
	return r
}

// make sends a request for tables. The receiver refuses it when it does not stand as it was seen: then it is to be asked again.
func (s *Sink) make(ctx context.Context, doing string, r *request) (again bool, err error) {
	out, err := s.post(ctx, doing, r)
	return out.conflict, err
}
