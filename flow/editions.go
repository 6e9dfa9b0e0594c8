package flow

import (
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// blueGreen is the one way in which a table rolls out.
const blueGreen = "blue-green"

// editionName is what no declared table may be called, so that editions have names of their own.
var editionName = regexp.MustCompile(`__[0-9]+$`)

// rollout reads whether a table's changes are built beside it.
func (c *checker) rollout(tab *table, t *tree) {
	if editionName.MatchString(tab.ident) {
		c.add(tab.at, "give it another name", "%s: names that end in __ and a number are those of tables that roll out blue-green", tab.what())
	}
	if t == nil {
		return
	}
	switch how, ok := c.text(t, "`rollout` of "+tab.what()); {
	case ok && how != blueGreen:
		c.add(t.at, didYouMean(how, []string{blueGreen}), "%s can't roll out %q", tab.what(), how)
	case tab.shared != nil:
		c.add(t.at, "leave one of them out", "%s can't roll out and be shared by documents", tab.what())
	case ok:
		tab.rolls = true
	}
}

// Editions returns the editions of the tables that roll out blue-green, as they are when the flow becomes a revision after one
// that came to old, with the editions before. logic tells what a table came to in an earlier revision. The
// errors have kind Usage.
//
// A table whose logic changed becomes a new edition, beside the one that is shown; one that goes back to an edition that is still kept
// has it already.
func (d Declaration) Editions(old Declaration, before []stream.Edition, revision int64, logic func(revision int64, table string) (string, error)) ([]stream.Edition, error) {
	var editions []stream.Edition
	was := partsBy(old.Tables).name
	for _, t := range d.Tables {
		i := slices.IndexFunc(before, func(e stream.Edition) bool { return e.Table == t.Name })
		_, known := was[t.Name]
		switch {
		case known && (i >= 0) != t.Rolls:
			return nil, stream.Errorf(stream.Usage, "roll out table "+t.Name, "it has rows without `rollout`, or with it, which can't be taken back or "+
				"added; declare a table of another name")
		case !t.Rolls:
			continue
		case i < 0:
			editions = append(editions, stream.Edition{Table: t.Name, Now: revision, Shown: revision})
			continue
		}
		e := before[i]
		if was[t.Name].Logic != t.Logic {
			other := ""
			if e.Other != 0 {
				var err error
				if other, err = logic(e.Other, t.Name); err != nil {
					return nil, err
				}
			}
			if other == t.Logic {
				e.Now, e.Other = e.Other, e.Now
			} else {
				e.Now, e.Other = revision, e.Shown
			}
		}
		editions = append(editions, e)
	}
	return editions, nil
}

// Roll makes the flow compute the editions of its tables, and its targets keep them. earlier are the flows that revisions were, by
// number, of those that an edition other than the present one is of; they are not to be used afterwards.
func (f *Flow) Roll(editions []stream.Edition, earlier map[int64]*Flow) error {
	p := f.Program
	for _, e := range editions {
		i := slices.IndexFunc(p.tables, func(t *table) bool { return t.ident == e.Table })
		if i < 0 {
			return stream.Errorf(stream.Internal, "roll out table "+e.Table, "the flow has no such table")
		}
		p.tables[i].edition = stream.EditionName(e.Table, e.Now)
	}
	for _, revision := range slices.Sorted(maps.Keys(earlier)) {
		old := earlier[revision]
		tables := map[string]bool{}
		for _, e := range editions {
			if e.Other == revision {
				tables[e.Table] = true
			}
		}
		if err := old.Program.only(tables, revision); err != nil {
			return err
		}
		old.Program.share(p, revision)
		p.beside = append(p.beside, old.Program)
	}
	for i := range f.Targets {
		if err := f.Targets[i].roll(editions, earlier); err != nil {
			return err
		}
	}
	p.editions(editions)
	return nil
}

// editions makes the program's identity that of all that it computes.
func (p *Program) editions(editions []stream.Edition) {
	if p.rolled = len(editions) > 0; !p.rolled {
		return
	}
	parts := []stream.Value{text("editions"), finger(p.logic)}
	for _, e := range editions {
		parts = append(parts, text(e.Table), stream.IntOf(e.Now), stream.IntOf(e.Other))
	}
	for _, old := range p.beside {
		parts = append(parts, finger(old.logic))
	}
	p.logic = digest(parts...)
}

// only leaves of a program what some of its tables need, which become editions.
func (p *Program) only(tables map[string]bool, revision int64) error {
	p.tables = slices.DeleteFunc(p.tables, func(t *table) bool { return !tables[t.ident] })
	if len(p.tables) != len(tables) {
		return stream.Errorf(stream.Internal, "roll out tables", "revision %d does not have all tables of which it has editions", revision)
	}
	needed := map[*step]bool{}
	for _, t := range p.tables {
		t.edition = stream.EditionName(t.ident, revision)
		for _, s := range stepsBehind(t.scope, t.formulas()...) {
			needed[s] = true
		}
	}
	p.steps = slices.DeleteFunc(p.steps, func(s *step) bool { return !needed[s] })
	for i, s := range p.steps {
		s.index, s.early = i, false
	}
	p.early, p.late = nil, nil
	p.reads()
	p.plan()
	return nil
}

// share has nodes of an earlier revision that are the present program's too run once, under its name; others have names of their
// own.
func (p *Program) share(now *Program, revision int64) {
	same, memos := map[stream.Fingerprint]*step{}, map[stream.Fingerprint]*stream.Node{}
	for _, s := range now.steps {
		same[s.name.logic] = s
		if s.node != nil {
			memos[s.node.Memo] = s.node
		}
	}
	for _, s := range p.steps {
		s.label = fmt.Sprintf("%s__%d", s.name.ident, revision)
		if other := same[s.name.logic]; other != nil {
			s.label = other.called()
		}
		switch node := s.node; {
		case node == nil:
		case memos[node.Memo] != nil:
			s.node, s.borrowed = memos[node.Memo], node
		default:
			node.Name, node.Lineage.Node = s.label, s.label
		}
	}
}

// roll makes a target keep the editions of its tables, under names of their own.
func (t *Target) roll(editions []stream.Edition, earlier map[int64]*Flow) error {
	var kept []stream.TargetTable
	for _, tab := range t.Config.Tables {
		i := slices.IndexFunc(editions, func(e stream.Edition) bool { return e.Table == tab.Table.Name })
		if i < 0 {
			kept = append(kept, tab)
			continue
		}
		e, front := editions[i], t.Spec.As(tab)
		if where := t.Where[e.Table]; where != nil {
			delete(t.Where, e.Table)
			t.Where[stream.EditionName(e.Table, e.Now)] = where
		}
		kept = append(kept, t.renamed(tab, e, e.Now, front))
		if e.Other == 0 {
			continue
		}
		old, err := t.earlier(e, earlier[e.Other])
		if err != nil {
			return err
		}
		kept = append(kept, t.renamed(old, e, e.Other, front))
	}
	t.Config.Tables = kept
	return nil
}

// earlier is an edition of another revision as the target keeps it: with that revision's columns, and its `where` and settings if the target
// kept the table then.
func (t *Target) earlier(e stream.Edition, old *Flow) (stream.TargetTable, error) {
	name := stream.EditionName(e.Table, e.Other)
	for _, o := range old.Targets {
		for _, tab := range o.Config.Tables {
			if o.Name != t.Name || o.Kind != t.Kind || tab.Table.Name != e.Table {
				continue
			}
			if where := o.Where[e.Table]; where != nil {
				if t.Where == nil {
					t.Where = map[string]func([]stream.Value) (bool, error){}
				}
				t.Where[name] = where
			}
			return tab, nil
		}
	}
	return stream.TargetTable{}, stream.Errorf(stream.Usage, "roll out table "+e.Table, "target %s did not keep it in revision %d, which is kept beside the "+
		"present one; add the target when that is over, after `freshet promote` and `freshet retire`", t.Name, e.Other)
}

// renamed is a target's table as an edition: with a name of its own there, which readers see under the front.
func (t *Target) renamed(tab stream.TargetTable, e stream.Edition, number int64, front string) stream.TargetTable {
	tab.Table.Name, tab.Front = stream.EditionName(e.Table, number), front
	naming := t.Spec.NamedBy()
	entries := slices.DeleteFunc(slices.Clone(tab.Settings.Values.Entries()), func(v stream.Entry) bool { return v.Key == naming })
	tab.Settings.Values = stream.MapOf(append(entries, stream.Entry{Key: naming, Value: text(stream.EditionName(front, number))})...)
	return tab
}

// besides evaluates what is computed beside the flow's own tables, and adds its rows in their order.
func (p *Program) besides(rows []stream.Row, evaluate func(*Program) ([]stream.Row, error)) ([]stream.Row, error) {
	if !p.rolled {
		return rows, nil
	}
	for _, old := range p.beside {
		more, err := evaluate(old)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	slices.SortStableFunc(rows, func(a, b stream.Row) int { return compare(a.Table, b.Table) })
	return rows, nil
}

// holding is the program that computes a table: this, or one beside it; nil when none does.
func (p *Program) holding(tableName string) (*Program, *table) {
	for _, q := range append([]*Program{p}, p.beside...) {
		for _, t := range q.tables {
			if t.name() == tableName {
				return q, t
			}
		}
	}
	return nil, nil
}
