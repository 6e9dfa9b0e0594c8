package flow

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// evaluation is one run of a program over one document.
type evaluation struct {
	p      *Program
	doc    stream.Document
	source *sourceEntry // of the document; nil: the flow doesn't have it
	calls  stream.Calls
	frames []frame          // by scope
	values [][]stream.Value // by step, then by element of its scope; nil until evaluated
	kept   [][][]bool       // by table, by depth of scope, by element: does a kept row depend on it?
	ahead  *outlook         // set: some values are stand-ins; see Foresee
}

// frame holds the elements of one scope: the values, and for each the index of the enclosing element.
type frame struct {
	elements []stream.Value
	parents  []int
}

// Immediate reports whether an evaluation computes formulas only, so that it waits for nothing.
func (p *Program) Immediate() bool {
	return !slices.ContainsFunc(p.steps, func(s *step) bool { return s.node != nil }) &&
		!slices.ContainsFunc(p.beside, func(old *Program) bool { return !old.Immediate() })
}

// Evaluate implements stream.Program. Nodes run in waves; the operators of one wave run concurrently, each called once
// with the inputs of all elements. What no kept row depends on is not evaluated.
func (p *Program) Evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	rows, err := p.evaluate(ctx, d, calls)
	if err != nil {
		return nil, ofDocument(d.ID, err)
	}
	return rows, nil
}

func (p *Program) evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	rows, err := p.own(ctx, d, calls)
	if err != nil {
		return nil, err
	}
	return p.besides(rows, func(old *Program) ([]stream.Row, error) { return old.own(ctx, d, calls) })
}

// own evaluates the program without what is beside it.
func (p *Program) own(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	if len(p.steps) == 0 {
		return p.formulaRows(d)
	}
	return p.newEvaluation(d, calls).all(ctx)
}

// formulaRows is all for a flow without nodes, in which a table has one row for a document or none.
func (p *Program) formulaRows(d stream.Document) ([]stream.Row, error) {
	e, s := &evaluation{p: p, doc: d, source: p.source(d)}, p.scopes[0]
	if e.source == nil {
		return nil, nil
	}
	if keep, err := e.condition(e.source.where, s, 0); err != nil || !keep {
		return nil, err
	}
	kept := make([]*table, 0, len(p.tables))
	for _, t := range p.tables {
		if !t.from.has(e.source) {
			continue
		}
		keep, err := e.condition(t.where, s, 0)
		if err != nil {
			return nil, err
		}
		if keep {
			kept = append(kept, t)
		}
	}
	rows := make([]stream.Row, len(kept))
	for i, t := range kept {
		var err error
		if rows[i], err = e.row(t, 0); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (p *Program) newEvaluation(d stream.Document, calls stream.Calls) *evaluation {
	e := &evaluation{p: p, doc: d, source: p.source(d), calls: calls, frames: make([]frame, len(p.scopes))}
	if len(p.steps) > 0 {
		e.values = make([][]stream.Value, len(p.steps))
	}
	e.frames[0] = frame{elements: make([]stream.Value, 1), parents: make([]int, 1)}
	return e
}

// all evaluates everything. kept stays nil when the source does not keep the document, or the flow has no such source.
func (e *evaluation) all(ctx context.Context) ([]stream.Row, error) {
	if e.source == nil {
		return nil, nil
	}
	if keep, err := e.condition(e.source.where, e.p.scopes[0], 0); err != nil || !keep {
		return nil, err
	}
	if err := e.run(ctx, e.p.early); err != nil {
		return nil, err
	}
	if err := e.keep(); err != nil {
		return nil, err
	}
	if err := e.run(ctx, e.p.late); err != nil {
		return nil, err
	}
	return e.rows()
}

func (e *evaluation) run(ctx context.Context, waves [][]*step) error {
	for _, wave := range waves {
		if err := ctx.Err(); err != nil {
			return &stream.Error{Op: "evaluate", Kind: stream.Transient, Err: err}
		}
		if err := e.wave(ctx, wave); err != nil {
			return err
		}
		for _, s := range wave {
			if err := e.open(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// wave evaluates steps that don't read each other. All calls are waited for, so that results of the others can be kept
// when one fails; the error is that of the first step in order.
func (e *evaluation) wave(ctx context.Context, wave []*step) error {
	var pending []*call
	for _, s := range wave {
		inputs, at, err := e.inputs(s)
		if err != nil {
			return err
		}
		e.values[s.index] = make([]stream.Value, len(e.frames[s.scope.index].elements))
		if s.node != nil {
			pending = append(pending, &call{step: s, inputs: inputs, at: at})
			continue
		}
		for i, v := range inputs {
			e.values[s.index][at[i]] = v
		}
		e.calls.Computed(s.called(), len(inputs))
	}
	return e.callAll(ctx, pending)
}

// call is one step's batch: the inputs that aren't null, and which elements they are of.
type call struct {
	step   *step
	inputs []stream.Value
	at     []int
	err    error
}

func (e *evaluation) callAll(ctx context.Context, pending []*call) error {
	var group sync.WaitGroup
	for i, c := range pending {
		if i == len(pending)-1 {
			e.call(ctx, c)
			break
		}
		group.Go(func() { e.call(ctx, c) })
	}
	group.Wait()
	for _, c := range pending {
		if c.err != nil {
			return c.err
		}
	}
	return nil
}

func (e *evaluation) call(ctx context.Context, c *call) {
	if len(c.inputs) == 0 {
		return
	}
	outputs, err := e.calls.Call(ctx, c.step.node, c.inputs)
	if err == nil && len(outputs) != len(c.inputs) {
		err = stream.Errorf(stream.Internal, "call "+c.step.op, "%d results for %d inputs", len(outputs), len(c.inputs))
	}
	if err != nil {
		c.err = wrap("evaluate "+c.step.what(), err)
		return
	}
	for i, v := range outputs {
		e.values[c.step.index][c.at[i]] = v
	}
}

// inputs evaluates a step's `when` and `in` for every element that a kept row depends on, and leaves out nulls.
func (e *evaluation) inputs(s *step) (inputs []stream.Value, at []int, err error) {
	if !s.from.has(e.source) {
		return nil, nil, nil // it reads what documents of other sources have
	}
	in := s.input(e.source)
	for i := range e.frames[s.scope.index].elements {
		if !s.early && !e.needed(s, i) {
			continue
		}
		run, err := e.condition(s.when, s.scope, i)
		if err != nil {
			return nil, nil, err
		}
		if !run {
			continue
		}
		v, err := e.eval(in, s.scope, i)
		if err != nil {
			return nil, nil, err
		}
		if !v.IsNull() {
			inputs, at = append(inputs, v), append(at, i)
		}
	}
	return inputs, at, nil
}

// open makes the elements of a step's list.
func (e *evaluation) open(s *step) error {
	if s.opens == nil {
		return nil
	}
	f, nested := &e.frames[s.opens.index], false
	for i, v := range e.values[s.index] {
		switch v.Kind() {
		case stream.Null:
		case stream.Dynamic:
			e.ahead.unsure("how many elements " + s.what() + " gives")
		case stream.List:
			for j := range v.Len() {
				f.elements, f.parents = append(f.elements, v.At(j)), append(f.parents, i)
			}
			nested = nested || i > 0
		default:
			return stream.Errorf(stream.Invalid, "evaluate "+s.what(), "each %s needs a list, not a %s", s.elem.ident, v.Kind())
		}
	}
	if nested && s.op != expr {
		distinctIDs(f.elements)
	}
	return nil
}

// distinctIDs makes the `id` that operators give to elements unique within the document: they number equal elements of one
// list only, and a nested list exists once per enclosing element. The second of an ID x becomes x+2.
func distinctIDs(elements []stream.Value) {
	seen := map[string]int{}
	for i, v := range elements {
		id, ok := v.Get("id")
		if !ok || id.Kind() != stream.String {
			continue
		}
		seen[id.Str()]++
		if n := seen[id.Str()]; n > 1 {
			numbered := stream.StringOf(id.Str() + "+" + strconv.Itoa(n))
			elements[i] = stream.MapOf(append(v.Entries(), stream.Entry{Key: "id", Value: numbered})...)
		}
	}
}

// up finds the element of an outer scope that element i of s lies in.
func (e *evaluation) up(s *scope, i int, outer *scope) int {
	for ; s != outer; s = s.parent {
		i = e.frames[s.index].parents[i]
	}
	return i
}

// value is what a name stands for, seen from element i of s.
func (e *evaluation) value(ident string, s *scope, i int) stream.Value {
	n := e.p.names[ident]
	switch n.kind {
	case sourceName:
		return e.doc.Input
	case recordName:
		return e.doc.Input.Field("record")
	case elementName:
		return e.frames[n.scope.index].elements[e.up(s, i, n.scope)]
	}
	return e.values[n.step.index][e.up(s, i, n.scope)]
}

func (e *evaluation) eval(x *expression, s *scope, i int) (stream.Value, error) {
	if e.ahead != nil && e.hangs(x, s, i) {
		return e.standIn(x, s, i), nil
	}
	if ident, plain := x.formula.Variable(); plain {
		if v, ok := x.formula.Select(e.value(ident, s, i)); ok {
			return v, nil
		}
	}
	v, err := x.formula.Eval(func(ident string) stream.Value { return e.value(ident, s, i) })
	if err != nil {
		return v, x.failure(err)
	}
	return v, nil
}

// condition evaluates a formula to true or false; null counts as false, no formula as true.
func (e *evaluation) condition(x *expression, s *scope, i int) (bool, error) {
	if x == nil {
		return true, nil
	}
	v, err := e.eval(x, s, i)
	if err != nil {
		return false, err
	}
	if v.Kind() == stream.Dynamic {
		e.ahead.unsure("what " + x.what + " says")
		return true, nil
	}
	return x.truth(v)
}
