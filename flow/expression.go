package flow

import (
	"fmt"
	"slices"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

// An expression is a formula of the flow file. Until it is compiled with the types of what it reads (after its nodes'
// order is known), formula holds a version compiled with dynamic types; nil after a fault.
type expression struct {
	text    *tree
	what    string // e.g. "`in` of node vector"
	formula *formula.Formula
	reads   []*name // in order of name
	scope   *scope
	broken  bool // its fault is reported
}

// typ is the static type of the result; dynamic while unknown.
func (x *expression) typ() stream.Type {
	if x == nil || x.formula == nil || x.broken {
		return stream.TypeDynamic
	}
	return x.formula.Type()
}

// canonical is the formula's meaning whatever the names it uses.
func (x *expression) canonical(names map[string]*name) stream.Value {
	if x == nil || x.formula == nil {
		return stream.Value{}
	}
	return stream.BytesOf(x.formula.Canonical(func(n string) string { return names[n].logic.String() }))
}

// parse compiles a formula with dynamic types against all names of the flow, to learn what it reads.
func (c *checker) parse(t *tree, what string) *expression {
	if t == nil {
		return nil
	}
	x := c.parseIn(c.dynamic, t, what)
	c.findReads(x)
	return x
}

// parseIn compiles a formula against the names of env, and faults what YAML made of it.
func (c *checker) parseIn(env *formula.Env, t *tree, what string) *expression {
	x := &expression{text: t, what: what, broken: true}
	switch {
	case t.masked:
	case t.cut:
		c.add(t.at, "quote this formula", "%s is cut at the comma: YAML splits it there", what)
	case t.shape == shapeNull:
		c.add(t.at, "write a formula, e.g. page.content", "%s is empty", what)
	case t.shape == shapeList || t.shape == shapeMapping:
		c.add(t.at, "quote this formula", "%s must be a formula, but YAML takes it for %s", what, t.shape)
	default:
		f, faults := env.Compile(t.text)
		x.broken = c.formulaFaults(x, faults)
		x.formula = f
	}
	return x
}

// formulaFaults reports faults of a formula at their places in the file.
func (c *checker) formulaFaults(x *expression, faults []formula.Fault) bool {
	if len(faults) > 0 && x.text.comment && !balanced(x.text.text) {
		c.add(x.text.at, "quote this formula", "%s is cut at the #: YAML takes the rest for a comment", x.what)
		return true
	}
	for _, f := range faults {
		c.add(x.text.locate(f.Line, f.Column), "", "%s: %s", x.what, f.Message)
	}
	return len(faults) > 0
}

// findReads notes which names x reads. Of a broken formula every word that is a name counts, so that one fault does
// not make others ("never used") of what it would have read.
func (c *checker) findReads(x *expression) {
	var idents []string
	if x.formula != nil && !x.broken {
		for _, r := range x.formula.Refs() {
			idents = append(idents, r.Name)
		}
	} else {
		idents = identifiers.FindAllString(x.text.text, -1)
	}
	slices.Sort(idents)
	for _, ident := range slices.Compact(idents) {
		if n := c.names[ident]; n != nil {
			x.reads = append(x.reads, n)
		}
	}
}

// compile compiles x again, now with the types of what it reads.
func (c *checker) compile(x *expression) {
	if x == nil || x.broken {
		return
	}
	vars := make([]formula.Var, len(x.reads))
	for i, n := range x.reads {
		vars[i] = formula.Var{Name: n.ident, Type: n.typ}
	}
	env, err := formula.NewEnv(vars)
	if err != nil {
		x.broken = true
		c.add(x.text.at, "", "%s: %v", x.what, err)
		return
	}
	f, faults := env.Compile(x.text.text)
	if x.broken = c.formulaFaults(x, faults); !x.broken {
		x.formula = f
		c.warn(x)
	}
}

// warn warns of formulas that read what changes with every edit above, and of fields without a declared type.
func (c *checker) warn(x *expression) {
	dynamic := false
	for _, r := range x.formula.Refs() {
		n := c.names[r.Name]
		if n == nil || len(r.Path) == 0 {
			continue
		}
		if n.kind == elementName && (r.Path[0] == "index" || r.Path[0] == "span") {
			c.warnings.add(x.text.at, fmt.Sprintf("leave it out unless you need it; %s.id stays", n.ident),
				"%s reads %s.%s: an edit changes it for every element below", x.what, n.ident, r.Path[0])
		}
		dynamic = dynamic || n.kind == sourceName && n.typ.Kind == stream.Map && n.typ.Fields == nil
	}
	if dynamic {
		c.warnings.add(x.text.at, "declare `fields:` on the source, or convert: string(...), int(...)",
			"%s reads fields whose types aren't declared: mistakes show only at run time", x.what)
	}
}

// expectBool faults a condition whose type is known and isn't bool.
func (c *checker) expectBool(x *expression) {
	if x == nil || x.broken {
		return
	}
	if k := x.typ().Kind; k != stream.Bool && k != stream.Dynamic {
		c.add(x.text.at, "compare it with something", "%s must be true or false, but is %s", x.what, x.typ())
		x.broken = true
	}
}
