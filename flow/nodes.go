package flow

import (
	"cmp"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// A step is a node of the flow while it is checked and when it runs.
type step struct {
	name  *name
	body  *tree
	op    string
	spec  stream.OperatorSpec // of an operator other than expr
	set   stream.Settings
	in    *expression
	by    []branch // of `in_by_source`, in order of source; then in is nil
	when  *expression
	from  sourceSet // sources for whose documents it runs
	scope *scope    // in which it has a value
	opens *scope    // of its `each`; nil without one
	elem  *name     // of its `each`
	node  *stream.Node
	index int // in order of evaluation
	wave  int // steps of one wave don't read each other
	early bool
	bad   bool // a fault keeps its type unknown
	// Of a step of an earlier revision, run beside the present one.
	label    string       // its name in counts and lineage
	borrowed *stream.Node // the step's own node, in whose place one of the present program runs
}

// called is the step's name in counts and lineage.
func (s *step) called() string { return cmp.Or(s.label, s.name.ident) }

func (s *step) what() string { return "node " + s.name.ident }

// reads are the names that the step's formulas read.
func (s *step) reads() []*name {
	var reads []*name
	for _, x := range s.formulas() {
		reads = append(reads, x.names()...)
	}
	return reads
}

func (x *expression) names() []*name {
	if x == nil {
		return nil
	}
	return append([]*name(nil), x.reads...)
}

// nodeNames declares all nodes and elements, so that formulas may use them in any order.
func (c *checker) nodeNames(t *tree) {
	if t == nil || !c.isMapping(t, "`nodes`") {
		return
	}
	for _, e := range t.entries {
		s := &step{body: e.value, op: expr}
		s.name = c.declare(&name{ident: e.key, at: e.at, kind: nodeName, step: s, typ: stream.TypeDynamic, from: anySource})
		c.steps = append(c.steps, s)
		if s.bad = !c.isMapping(e.value, s.what()); s.bad {
			continue
		}
		if each := e.value.get("each"); each != nil {
			c.element(s, each)
		}
	}
}

func (c *checker) element(s *step, t *tree) {
	ident, ok := c.text(t, "`each` of "+s.what())
	if !ok {
		return
	}
	s.elem = c.declare(&name{ident: ident, at: t.at, kind: elementName, step: s, typ: stream.TypeDynamic, from: anySource})
	s.opens = &scope{element: s.elem}
	s.elem.scope = s.opens
}

// formulas compiles every formula against dynamic names, and so learns what reads what.
func (c *checker) formulas(root *tree) {
	for _, s := range c.sources {
		if t := s.body.get("where"); t != nil {
			s.where = c.parse(t, "`where` of source "+s.Name)
			c.onlySource(s, s.where)
		}
		c.idFormula(s)
	}
	for _, s := range c.steps {
		c.stepFormulas(s)
	}
	c.tableEntries(root)
}

// onlySource faults a source's condition that reads what is computed later.
func (c *checker) onlySource(s *sourceEntry, x *expression) {
	for _, n := range x.reads {
		switch {
		case n == s.name, n.kind == recordName, x.broken:
		case n.kind == sourceName:
			c.add(x.text.at, "", "%s can't read the source %s: a document is of one source", x.what, n.ident)
			x.broken = true
		default:
			c.add(x.text.at, "use `where` of a table", "%s can't read the %s %s: it is decided before nodes run", x.what, n.kind, n.ident)
			x.broken = true
		}
	}
}

func (c *checker) stepFormulas(s *step) {
	if s.bad {
		return
	}
	if op := s.body.get("op"); op == nil {
		s.bad = true
		c.add(s.name.at, "write `op: expr` for a formula", "%s needs an `op`", s.what())
	} else if text, ok := c.text(op, "`op` of "+s.what()); ok {
		c.operator(s, op, text)
	}
	switch in, by := s.body.get("in"), s.body.get("in_by_source"); {
	case in == nil && by == nil:
		s.bad = true
		c.add(s.name.at, "write `in: FORMULA`", "%s needs an `in`", s.what())
	case in != nil && by != nil:
		s.bad = true
		c.add(by.at, "keep one of them", "%s has both `in` and `in_by_source`", s.what())
	case by != nil:
		c.branches(s, by)
	}
	s.in = c.parse(s.body.get("in"), "`in` of "+s.what())
	s.when = c.parse(s.body.get("when"), "`when` of "+s.what())
}

var nodeKeys = []string{"op", "in", "in_by_source", "when", "each"}

func (c *checker) operator(s *step, at *tree, op string) {
	s.op = op
	spec, ok := c.registry.Operators[op]
	switch {
	case op == expr:
		c.known(s.body, s.what(), laterNodeKeys, nodeKeys...)
		return
	case !ok && laterOperators[op]:
		c.add(at.at, "", "%s: the operator %s isn't built yet", s.what(), op)
	case !ok:
		c.add(at.at, didYouMean(op, append(sortedKeys(c.registry.Operators), expr)), "there is no operator %q", op)
	default:
		s.spec = spec
		s.set, ok = c.settings(s.body, s.what(), spec.Settings, laterNodeKeys, nodeKeys...)
	}
	s.bad = !ok
	if !ok {
		c.useModels(s.body)
	}
}

// useModels counts the models that a refused node names as used, so that one fault doesn't make another.
func (c *checker) useModels(body *tree) {
	for _, e := range body.entries {
		if m := c.models[e.value.text]; m != nil {
			m.used = true
		}
	}
}

// order sorts the steps so that each comes after those that it reads, gives each its wave, and faults cycles.
func (c *checker) order() {
	state := map[*step]int{} // 1: on the path, 2: done
	var sorted, path []*step
	var visit func(s *step)
	visit = func(s *step) {
		switch state[s] {
		case 1:
			c.cycle(path, s)
			return
		case 2:
			return
		}
		state[s], path = 1, append(path, s)
		for _, n := range s.reads() {
			if n.step != nil {
				visit(n.step)
				s.wave = max(s.wave, n.step.wave+1)
			}
		}
		state[s], path = 2, path[:len(path)-1]
		s.index = len(sorted)
		sorted = append(sorted, s)
	}
	for _, s := range c.steps {
		visit(s)
	}
	c.steps = sorted
}

func (c *checker) cycle(path []*step, again *step) {
	var names []string
	for i, s := range path {
		if s == again || len(names) > 0 {
			names = append(names, path[i].name.ident)
			s.bad = true
		}
	}
	c.add(again.name.at, "a node can read only what comes before it", "%s reads itself: %s → %s", again.what(),
		strings.Join(names, " → "), again.name.ident)
}

// types gives every step, in order, its scope, the types of its formulas and its own.
func (c *checker) types() {
	for _, s := range c.sources {
		c.compile(s.where)
		c.expectBool(s.where)
	}
	for _, s := range c.steps {
		c.stepType(s)
	}
}

func (c *checker) stepType(s *step) {
	s.scope = c.stepScope(s)
	s.name.scope = s.scope
	c.stepSources(s)
	if s.opens != nil {
		s.opens.parent, s.opens.depth, s.opens.index = s.scope, s.scope.depth+1, len(c.scopes)
		c.scopes = append(c.scopes, s.opens)
	}
	for _, x := range s.formulas() {
		x.scope = s.scope
		c.compile(x)
	}
	c.expectBool(s.when)
	if in, ok := c.inputType(s); ok {
		s.name.typ = c.outputType(s, in)
	}
	c.elementType(s)
}

func (c *checker) outputType(s *step, in stream.Type) stream.Type {
	out := in
	if s.op != expr {
		var err error
		arg := in
		arg.Nullable = arg.Kind == stream.Dynamic
		if out, err = s.spec.Output(arg, s.set); err != nil {
			c.add(s.formulas()[0].text.at, "", "%s: %v", s.what(), err)
			return stream.TypeDynamic
		}
	}
	out.Nullable = out.Nullable || in.Nullable || s.when != nil
	return out
}

func (c *checker) elementType(s *step) {
	if s.elem == nil {
		return
	}
	switch s.name.typ.Kind {
	case stream.List:
		s.elem.typ = *s.name.typ.Elem
	case stream.Dynamic:
	default:
		c.add(s.elem.at, "remove `each`", "%s is %s, not a list: it has no elements", s.what(), s.name.typ)
	}
}
