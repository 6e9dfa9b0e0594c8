package flow

import (
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

// sourceSet is a set of the flow's sources, by index.
type sourceSet uint64

const (
	maxSources = 64
	anySource  = ^sourceSet(0)
)

// has reports whether documents of a source are in the set; those of a source that the flow doesn't have are in none.
func (s sourceSet) has(of *sourceEntry) bool { return of != nil && s&of.set() != 0 }

// branch is the input of a node for documents of one source.
type branch struct {
	source *sourceEntry
	in     *expression
}

// formulas are the step's own: its inputs, then its condition.
func (s *step) formulas() (all []*expression) {
	if s.in != nil {
		all = append(all, s.in)
	}
	for _, b := range s.by {
		all = append(all, b.in)
	}
	if s.when != nil {
		all = append(all, s.when)
	}
	return all
}

// input is the step's formula for documents of a source.
func (s *step) input(of *sourceEntry) *expression {
	for _, b := range s.by {
		if b.source == of {
			return b.in
		}
	}
	return s.in
}

// branches reads `in_by_source`: a formula for each source of the flow, or null where the node isn't run.
func (c *checker) branches(s *step, t *tree) {
	if s.bad = s.bad || !c.isMapping(t, "`in_by_source` of "+s.what()); s.bad && t.shape != shapeMapping {
		return
	}
	named := map[string]bool{}
	for _, e := range t.entries {
		i := slices.IndexFunc(c.sources, func(x *sourceEntry) bool { return x.Name == e.key })
		if i < 0 {
			s.bad = true
			c.add(e.at, didYouMean(e.key, c.sourceNames()), "`in_by_source` of %s: there is no source %q", s.what(), e.key)
			continue
		}
		named[e.key] = true
		if e.value.shape == shapeNull && !e.value.masked {
			continue
		}
		s.by = append(s.by, branch{c.sources[i], c.parse(e.value, "branch "+e.key+" of `in_by_source` of "+s.what())})
	}
	for _, x := range c.sources {
		if !named[x.Name] {
			s.bad = true
			c.add(t.at, "add `"+x.Name+": FORMULA`, or `"+x.Name+": null` where it isn't run", "`in_by_source` of %s has no branch for source %s", s.what(), x.Name)
		}
	}
	if len(s.by) == 0 && !s.bad {
		s.bad = true
		c.add(t.at, "", "`in_by_source` of %s runs for no source", s.what())
	}
	slices.SortFunc(s.by, func(a, b branch) int { return compare(a.source.Name, b.source.Name) })
}

func (c *checker) sourceNames() (names []string) {
	for _, s := range c.sources {
		names = append(names, s.Name)
	}
	return names
}

// sourcesOf are the sources whose documents have all that formulas read. It faults formulas that no document has the
// values of; what is named first in hint helps.
func (c *checker) sourcesOf(hint string, formulas ...*expression) sourceSet {
	set, by := anySource, (*name)(nil)
	for _, x := range formulas {
		if x == nil || x.broken {
			continue
		}
		for _, n := range x.reads {
			if set&n.from == 0 {
				c.add(x.text.at, hint, "%s reads %s, but %s is of %s only: a document is of one source", x.what, n.ident, by.ident, c.sourceText(set))
				return anySource
			}
			if set&n.from != set {
				set, by = set&n.from, n
			}
		}
	}
	return set
}

// sourceText names the sources of a set.
func (c *checker) sourceText(set sourceSet) string {
	var names []string
	for _, s := range c.sources {
		if set.has(s) {
			names = append(names, s.Name)
		}
	}
	if len(names) == 1 {
		return "source " + names[0]
	}
	return "sources " + joined(names)
}

// stepSources finds the sources for whose documents a step runs.
func (c *checker) stepSources(s *step) {
	s.from = c.sourcesOf("give the node `in_by_source: { SOURCE: FORMULA, ... }`, and read its result", s.in, s.when)
	if s.by != nil {
		s.from = c.branchSources(s)
	}
	s.name.from = s.from
	if s.elem != nil {
		s.elem.from = s.from
	}
}

func (c *checker) branchSources(s *step) (runs sourceSet) {
	for _, b := range s.by {
		runs |= b.source.set()
		if set := c.sourcesOf("", b.in); !set.has(b.source) {
			c.add(b.in.text.at, "read "+b.source.Name, "%s reads what documents of source %s don't have: it is of %s", b.in.what, b.source.Name, c.sourceText(set))
		}
	}
	if when := c.sourcesOf("", s.when); runs&when != runs {
		c.add(s.when.text.at, "write null for the other branches", "%s reads what only documents of %s have, but the node runs for %s", s.when.what,
			c.sourceText(runs&when), c.sourceText(runs))
	}
	return runs
}

// stepScope is where a step has its values. Those of all branches have it there.
func (c *checker) stepScope(s *step) *scope {
	if s.by == nil {
		return c.scopeOf(s.in, s.when)
	}
	first := c.scopeOf(s.by[0].in)
	for _, b := range s.by[1:] {
		if here := c.scopeOf(b.in); here != first && !b.in.broken && !s.by[0].in.broken {
			c.add(b.in.text.at, "give the elements of both sources one name, by `in_by_source` of the node that makes them",
				"%s is of each %s, but %s is of each %s: a node has one value for each of the same", b.in.what, here, s.by[0].in.what, first)
		}
	}
	return c.scopeOf(s.by[0].in, s.when)
}

// inputType is the type of a step's input; false while a fault keeps it unknown. Branches give one type; one of them may be
// null where another isn't.
func (c *checker) inputType(s *step) (in stream.Type, ok bool) {
	if s.bad || s.in == nil && s.by == nil || s.in != nil && s.in.broken {
		return stream.TypeDynamic, false
	}
	if s.in != nil {
		return s.in.typ(), true
	}
	for i, b := range s.by {
		t := b.in.typ()
		a, o := in, t
		a.Nullable, o.Nullable = false, false
		switch {
		case b.in.broken:
			return stream.TypeDynamic, false
		case i == 0, t.Kind == stream.Dynamic:
			in = t
		case in.Kind == stream.Dynamic:
		case !a.Equal(o):
			c.add(b.in.text.at, "convert one of them", "%s gives %s, but %s gives %s: a node has one input type", b.in.what, o, s.by[0].in.what, a)
			return stream.TypeDynamic, false
		default:
			in.Nullable = in.Nullable || t.Nullable
		}
	}
	return in, true
}

// idFormula reads a source's `id`. It may read the key of the record alone: a delete has nothing else.
func (c *checker) idFormula(s *sourceEntry) {
	t := s.body.get("id")
	if t == nil {
		return
	}
	what := "`id` of source " + s.Name
	if s.Kind != "" && !s.Spec.Keyed {
		c.add(t.at, "remove `id`", "source %s: the source itself names documents of kind %s", s.Name, s.Kind)
		return
	}
	x := c.parse(t, what)
	if x.broken || !c.readsKey(x) {
		return
	}
	env, err := formula.NewEnv([]formula.Var{{Name: "record", Type: stream.MapType(stream.Field{Name: "key", Type: stream.TypeDynamic})}})
	if err != nil {
		c.add(t.at, "", "%s: %v", what, err)
		return
	}
	x = c.parseIn(env, t, what)
	switch k := x.typ().Kind; {
	case x.broken:
		return
	case k != stream.String && k != stream.Int && k != stream.Dynamic:
		c.add(t.at, "convert it: string(...)", "%s must be a string or an int, but is %s", what, x.typ())
		return
	}
	s.id, s.ID = x, x.documentName
}

// readsKey faults an ID formula that reads anything but the key, or not even that.
func (c *checker) readsKey(x *expression) bool {
	for _, r := range x.formula.Refs() {
		of := "record." + strings.Join(r.Path, ".")
		switch n := c.names[r.Name]; {
		case n == nil:
		case n.kind != recordName:
			of = "the " + n.kind.String() + " " + n.ident
		case len(r.Path) == 0:
			of = "the whole record"
		case r.Path[0] == "key":
			continue
		}
		c.add(x.text.at, "read record.key, e.g. string(record.key.id)", "%s reads %s: a delete has only its key", x.what, of)
		return false
	}
	if len(x.formula.Refs()) == 0 {
		c.add(x.text.at, "read record.key, e.g. string(record.key.id)", "%s reads nothing: all documents would have one name", x.what)
		return false
	}
	return true
}

// documentName is the name that an ID formula gives a key; null names no document.
func (x *expression) documentName(key stream.Value) (string, error) {
	record := stream.MapOf(stream.Entry{Key: "key", Value: key})
	v, err := x.formula.Eval(func(string) stream.Value { return record })
	if err != nil {
		return "", x.failure(err)
	}
	if v.IsNull() {
		return "", nil
	}
	return x.keyText(v)
}

// intakeNames faults a target whose group would be that of the intake.
func (c *checker) intakeNames(targets *tree) {
	if targets == nil || len(c.sources) < 2 && !slices.ContainsFunc(c.sources, func(s *sourceEntry) bool { return s.id != nil }) {
		return
	}
	for _, e := range targets.entries {
		if e.key == "intake" {
			c.add(e.at, "choose another name", "a target of a flow of several sources, or with an ID formula, can't be named intake: the consumer group of its intake is named so")
		}
	}
}
