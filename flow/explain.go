package flow

import (
	"context"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// Derivation is how one row comes about.
type Derivation struct {
	Made  bool // the document has the row
	Nodes []Derived
}

// Derived is what a node behind a row's table had and gave, for the document or for the element that the row is of. A value
// that hangs on a result which nobody has is a stand-in.
type Derived struct {
	stream.NodeLineage
	Element       string // name of the element that it has a value for each of; "" when it has one per document
	Ran           bool   // false: `when` or a null input kept it from running, the document is not kept, or the evaluation ended before
	Input, Output stream.Value
	Opened        *Opened // set: Output is not the whole list, but the row's element of it
}

// Opened is the element of a node's list that a row is of.
type Opened struct {
	Element string
	Index   int // from 0
	Of      int // how many the list has
}

// Explain evaluates a document through calls that may return stand-ins, as Foresee does, and returns what each node on the
// path of a table's row gave, in order of evaluation. Of a row that the document doesn't have, those are left out that have a
// value for each element. With an error the derivation holds what was computed before it.
func (p *Program) Explain(ctx context.Context, d stream.Document, tableName, key string, calls stream.Calls) (Derivation, error) {
	p, t := p.holding(tableName)
	if t == nil {
		return Derivation{}, stream.Errorf(stream.Usage, "explain a row", "the flow has no table %q", tableName)
	}
	e, i := p.newEvaluation(d, calls), slices.Index(p.tables, t)
	e.ahead = &outlook{unknown: map[string]bool{}, keys: map[string]bool{}}
	_, failed := e.all(ctx)
	at := e.element(i, key)
	out := Derivation{Made: failed == nil && at >= 0}
	for _, s := range stepsBehind(t.scope, t.formulas()...) {
		if s.from.has(e.source) && (at >= 0 || s.scope == p.scopes[0]) {
			out.Nodes = append(out.Nodes, e.derived(t, at, s))
		}
	}
	if failed != nil {
		return out, ofDocument(d.ID, failed)
	}
	return out, nil
}

// element finds the element of a table's scope whose kept row has a key; -1 when none has.
func (e *evaluation) element(table int, key string) int {
	if e.kept == nil { // the document is not kept, or its evaluation failed before that was known
		return -1
	}
	t := e.p.tables[table]
	for i := range e.frames[t.scope.index].elements {
		if !e.keeps(table, t.scope, i) {
			continue
		}
		if k, err := e.key(t, i); err == nil && k == key {
			return i
		}
	}
	return -1
}

// derived is what a step had and gave for the element at of a table's scope; -1: for the document.
func (e *evaluation) derived(t *table, at int, s *step) Derived {
	out := Derived{NodeLineage: s.lineage()}
	if s.scope.element != nil {
		out.Element = s.scope.element.ident
	}
	i := 0
	if at >= 0 {
		i = e.up(t.scope, at, s.scope)
	}
	values := e.values[s.index]
	if values == nil {
		return out
	}
	in, err := e.eval(s.input(e.source), s.scope, i)
	run, unclear := e.condition(s.when, s.scope, i)
	if err != nil || unclear != nil || !run || in.IsNull() {
		return out
	}
	out.Ran, out.Input, out.Output = true, in, values[i]
	if at >= 0 && s.opens != nil && t.scope.within(s.opens) {
		e.opened(&out, s, e.up(t.scope, at, s.opens))
	}
	return out
}

// opened has the row's element, the i-th of all that a step opens, in place of the list that it is of.
func (e *evaluation) opened(d *Derived, s *step, i int) {
	f := &e.frames[s.opens.index]
	d.Output, d.Opened = f.elements[i], &Opened{Element: s.elem.ident}
	for j, parent := range f.parents {
		if parent == f.parents[i] {
			d.Opened.Of++
			if j < i {
				d.Opened.Index++
			}
		}
	}
}
