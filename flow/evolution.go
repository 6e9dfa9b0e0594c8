package flow

import (
	"fmt"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// Effect is what taking a change over does to what targets hold.
type Effect string

// The effects. What formulas come to may add, alter and remove rows under each of them: these say what becomes of the tables themselves.
const (
	Safe        Effect = "safe"        // nothing that is there changes its shape
	Rebuild     Effect = "rebuild"     // a table is built anew from the rows topic; what it had is in it again
	Destructive Effect = "destructive" // something goes that targets hold: it has to be asked for by name
)

// Evolution is one change of sources, tables or targets.
type Evolution struct {
	Name   string `json:"name"` // e.g. column:chunks.lang
	Effect Effect `json:"effect"`
	What   string `json:"what"`
}

// Destroyed are the names of the changes that have to be asked for, in order.
func Destroyed(all []Evolution) (names []string) {
	for _, e := range all {
		if e.Effect == Destructive {
			names = append(names, e.Name)
		}
	}
	return names
}

// Evolution says what becomes of sources, tables and targets when f follows a flow that was declared as was. old is that flow, nil where it
// can't be read any more: a table that changed then counts as destroyed, since nobody knows what it had.
func (f *Flow) Evolution(was Declaration, old *Flow) []Evolution {
	e := evolving{}
	now := f.Declaration()
	e.sources(now, was)
	if old != nil {
		e.tables(f.Program, old.Program)
	} else {
		e.unknownTables(now, was)
	}
	e.targets(now, was)
	return e.all
}

// Moved names the sources of both flows that read another topic than they did: documents of the one before would stay.
func (f *Flow) Moved(old *Flow) (names []string) {
	for _, s := range f.Sources {
		if slices.ContainsFunc(old.Sources, func(o Source) bool { return o.Name == s.Name && o.Topic != s.Topic }) {
			names = append(names, s.Name)
		}
	}
	return names
}

type evolving struct{ all []Evolution }

func (e *evolving) add(effect Effect, name, format string, args ...any) {
	e.all = append(e.all, Evolution{name, effect, fmt.Sprintf(format, args...)})
}

func (e *evolving) sources(now, was Declaration) {
	before, after := partsBy(was.Sources), partsBy(now.Sources)
	for _, s := range now.Sources {
		if _, known := before.name[s.Name]; !known {
			e.add(Safe, "source:"+s.Name, "added; its records are read from their start")
		}
	}
	for _, s := range was.Sources {
		if _, known := after.name[s.Name]; !known {
			e.add(Destructive, "source:"+s.Name, "removed; its documents are deleted, with their rows in all targets")
		}
	}
}

func (e *evolving) tables(now, was *Program) {
	for _, t := range now.tables {
		o := was.table(t.ident)
		if o == nil {
			e.add(Safe, "table:"+t.ident, "added")
			continue
		}
		if t.rolls && o.rolls {
			if t.logic(now.names) != o.logic(was.names) {
				e.add(Safe, "table:"+t.ident, "changed; a new edition is built beside the one that targets show")
			}
			continue
		}
		if t.identity(now) != o.identity(was) && t.namedIdentity(now) != o.namedIdentity(was) {
			e.add(Destructive, "key:"+t.ident, "changed; rows go under the keys that they have, and come under others")
		}
		e.columns(t.declared(), o.declared())
	}
	for _, o := range was.tables {
		if now.table(o.ident) == nil {
			e.tableRemoved(o.ident)
		}
	}
}

func (e *evolving) tableRemoved(name string) {
	e.add(Destructive, "table:"+name, "removed; its rows go from the rows topic, and what targets hold of it stays as it is, which nothing keeps fresh any more")
}

func (e *evolving) columns(now, was stream.Table) {
	for _, c := range now.Columns {
		name := "column:" + now.Name + "." + c.Name
		i := slices.IndexFunc(was.Columns, func(o stream.Field) bool { return o.Name == c.Name })
		switch {
		case i < 0:
			e.add(Rebuild, name, "added")
		case !was.Columns[i].Type.OrNull().Equal(c.Type.OrNull()):
			e.add(Destructive, name, "%s becomes %s; what targets hold of it is replaced", was.Columns[i].Type, c.Type)
		case !was.Columns[i].Type.Equal(c.Type):
			e.add(Rebuild, name, "%s becomes %s", was.Columns[i].Type, c.Type)
		}
	}
	for _, o := range was.Columns {
		if !slices.ContainsFunc(now.Columns, func(c stream.Field) bool { return c.Name == o.Name }) {
			e.add(Destructive, "column:"+now.Name+"."+o.Name, "removed; its values go from every target that keeps the table")
		}
	}
}

func (e *evolving) unknownTables(now, was Declaration) {
	before, after := partsBy(was.Tables), partsBy(now.Tables)
	for _, t := range now.Tables {
		switch o, known := before.name[t.Name]; {
		case !known:
			e.add(Safe, "table:"+t.Name, "added")
		case o.Own != t.Own:
			e.add(Destructive, "table:"+t.Name, "changed; this build can't read what columns it had, so that some may go")
		}
	}
	for _, o := range was.Tables {
		if _, known := after.name[o.Name]; !known {
			e.tableRemoved(o.Name)
		}
	}
}

func (e *evolving) targets(now, was Declaration) {
	for _, t := range now.Targets {
		o := was.target(t.Name)
		switch {
		case o == nil:
			e.add(Safe, "target:"+t.Name, "added; all rows of its tables are written to it")
			continue
		case o.Kind != t.Kind:
			e.add(Safe, "target:"+t.Name, "%s becomes %s; all rows of its tables are written there, and what the old one holds stays as it is", o.Kind, t.Kind)
			continue
		}
		for _, table := range t.Tables {
			if !slices.Contains(o.Tables, table) {
				e.add(Rebuild, "target:"+t.Name+"."+table, "added; the target is read again from the rows topic")
			}
		}
		for _, table := range o.Tables {
			if !slices.Contains(t.Tables, table) {
				e.add(Safe, "target:"+t.Name+"."+table, "no longer kept; what the target holds of it stays as it is")
			}
		}
	}
	for _, o := range was.Targets {
		if now.target(o.Name) == nil {
			e.add(Safe, "target:"+o.Name, "removed; what it holds stays as it is")
		}
	}
}

// target is a target of a declaration; nil when it has none of the name.
func (d Declaration) target(name string) *TargetSummary {
	i := slices.IndexFunc(d.Targets, func(t TargetSummary) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &d.Targets[i]
}

// table is a table of the program; nil when it has none of the name.
func (p *Program) table(ident string) *table {
	i := slices.IndexFunc(p.tables, func(t *table) bool { return t.ident == ident })
	if i < 0 {
		return nil
	}
	return p.tables[i]
}

// identity is what gives the table's rows their keys, whatever names there are: it changes with what lies above.
func (t *table) identity(p *Program) stream.Fingerprint { return t.keyed(p.names) }

// namedIdentity is identity as it is written: it changes with names.
func (t *table) namedIdentity(p *Program) stream.Fingerprint { return t.keyed(p.byName()) }

func (t *table) keyed(names map[string]*name) stream.Fingerprint {
	scope := stream.Value{}
	if t.scope.element != nil {
		scope = finger(names[t.scope.element.ident].logic)
	}
	return digest(scope, t.key.canonical(names))
}
