package flow

import (
	"github.com/freshet-dev/freshet/stream"
)

// A name is what a formula may read: the source, a node's result, an element of a list, or the record's metadata.
type name struct {
	ident string
	at    place
	kind  nameKind
	step  *step  // of a node; of an element: the node whose list it is from
	scope *scope // where it has a value
	typ   stream.Type
	from  sourceSet          // sources whose documents have it
	logic stream.Fingerprint // of what it stands for
}

type nameKind uint8

const (
	sourceName nameKind = iota
	recordName
	nodeName
	elementName
)

func (k nameKind) String() string { return [...]string{"source", "record", "node", "element"}[k] }

// A scope is where a value exists once: per document (the root), or per element of a list. Scopes nest.
type scope struct {
	parent  *scope
	element *name
	depth   int
	index   int // among all scopes, parents first
}

// within reports whether s is o or lies inside of it.
func (s *scope) within(o *scope) bool {
	for ; s != nil; s = s.parent {
		if s == o {
			return true
		}
	}
	return false
}

// String names the scope in messages.
func (s *scope) String() string {
	if s.element == nil {
		return "the document"
	}
	return s.element.ident
}

// declare adds a name, and faults one that is taken or not usable in formulas.
func (c *checker) declare(n *name) *name {
	switch first, taken := c.names[n.ident]; {
	case !c.matches(n.at, "a "+n.kind.String(), n.ident, identifier, identifierRule):
	case celKeywords[n.ident]:
		c.add(n.at, "choose another name", "%q is a keyword in formulas", n.ident)
	case n.ident == "record":
		c.add(n.at, "choose another name", "`record` stands for the record's metadata")
	case taken:
		c.add(n.at, "choose another name", "%q already names the %s at line %d", n.ident, first.kind, first.at.line)
	default:
		c.names[n.ident] = n
	}
	return n
}

// scopeOf finds the deepest scope among the names that the formulas read, and faults names of sibling scopes.
func (c *checker) scopeOf(formulas ...*expression) *scope {
	deepest, by := c.root, (*name)(nil)
	for _, f := range formulas {
		if f == nil {
			continue
		}
		for _, n := range f.reads {
			s := n.scope
			if s == nil || deepest.within(s) {
				continue
			}
			if s.within(deepest) {
				deepest, by = s, n
				continue
			}
			c.add(f.text.at, "read both from within one list, or nest one `each` in the other",
				"%s is of each %s, but %s is of each %s: a formula can't mix them", n.ident, s, by.ident, deepest)
		}
	}
	return deepest
}
