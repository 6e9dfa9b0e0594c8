package flow

import (
	"cmp"
	"slices"
	"sort"

	"github.com/freshet-dev/freshet/stream"
)

// A table is a declared table while it is checked and when rows are made.
type table struct {
	ident   string
	at      place
	scope   *scope
	where   *expression
	key     *expression
	columns []column           // in order of name
	shared  map[string]merging // by column; nil: its rows are each document's own
	from    sourceSet          // sources whose documents have rows
	rolls   bool               // out blue-green, so that it exists in editions
	edition string             // the name of its rows' table, where it is an edition
}

// name is the table's name in rows and targets.
func (t *table) name() string { return cmp.Or(t.edition, t.ident) }

type column struct {
	ident string
	value *expression
}

func (t *table) what() string { return "table " + t.ident }

// formulas are all of the table's formulas.
func (t *table) formulas() []*expression {
	all := []*expression{t.where, t.key}
	for _, col := range t.columns {
		all = append(all, col.value)
	}
	return all
}

// declared is the table as sinks know it.
func (t *table) declared() stream.Table {
	d := stream.Table{Name: t.name(), Keyed: t.key != nil, Shared: t.rules()}
	for _, col := range t.columns {
		d.Columns = append(d.Columns, stream.Field{Name: col.ident, Type: col.value.typ()})
	}
	return d
}

func (c *checker) tableEntries(root *tree) {
	t := root.get("tables")
	if t == nil {
		c.add(root.at, "a table's columns say what is kept", "the flow has no `tables`")
		return
	}
	if !c.isMapping(t, "`tables`") {
		return
	}
	for _, e := range t.entries {
		tab := &table{ident: e.key, at: e.at, scope: c.root}
		c.tables = append(c.tables, tab)
		c.matches(e.at, "a table", e.key, columnName, identifierRule)
		if c.isMapping(e.value, tab.what()) {
			c.tableEntry(tab, e.value)
		}
	}
	sort.Slice(c.tables, func(i, j int) bool { return c.tables[i].ident < c.tables[j].ident })
}

func (c *checker) tableEntry(tab *table, t *tree) {
	c.known(t, tab.what(), nil, "for", "where", "key", "shared", "rollout", "columns")
	if f := t.get("for"); f != nil {
		c.tableScope(tab, f)
	}
	tab.where = c.parse(t.get("where"), "`where` of "+tab.what())
	tab.key = c.parse(t.get("key"), "`key` of "+tab.what())
	switch hasFor := t.get("for") != nil; {
	case hasFor && tab.key == nil:
		c.add(tab.at, "e.g. `key: chunk.id`", "%s needs a `key`, unique within its document", tab.what())
	case !hasFor && tab.key != nil:
		c.add(t.get("key").at, "remove it, or add `for`", "%s has one row per document and takes no `key`", tab.what())
	}
	cols := t.get("columns")
	if cols == nil {
		c.add(tab.at, "write `columns: { name: FORMULA }`", "%s needs `columns`", tab.what())
		return
	}
	if c.isMapping(cols, "`columns` of "+tab.what()) {
		c.columns(tab, cols)
	}
	c.shared(tab, t.get("shared"))
	c.rollout(tab, t.get("rollout"))
}

func (c *checker) tableScope(tab *table, f *tree) {
	ident, ok := c.text(f, "`for` of "+tab.what())
	if !ok {
		return
	}
	if n := c.names[ident]; n != nil && n.kind == elementName {
		tab.scope = n.scope
		return
	}
	var elements []string
	for _, s := range c.steps {
		if s.elem != nil {
			elements = append(elements, s.elem.ident)
		}
	}
	tab.scope = nil
	suggestion := didYouMean(ident, elements)
	if len(elements) == 0 {
		suggestion = "name one with `each` of a node"
	}
	c.add(f.at, suggestion, "`for` of %s: there is no element %q", tab.what(), ident)
}

func (c *checker) columns(tab *table, t *tree) {
	if len(t.entries) == 0 {
		c.add(t.at, "write `columns: { name: FORMULA }`", "%s has no columns", tab.what())
	}
	for _, e := range t.entries {
		c.matches(e.at, "a column", e.key, columnName, identifierRule)
		x := c.parse(e.value, "column "+e.key+" of "+tab.what())
		tab.columns = append(tab.columns, column{e.key, x})
	}
	sort.Slice(tab.columns, func(i, j int) bool { return tab.columns[i].ident < tab.columns[j].ident })
}

// tableTypes compiles the tables' formulas with the types of what they read.
func (c *checker) tableTypes() {
	for _, tab := range c.tables {
		for _, x := range tab.formulas() {
			if x == nil {
				continue
			}
			c.inTable(tab, x)
			c.compile(x)
		}
		c.tableSources(tab)
		c.expectBool(tab.where)
		c.keyType(tab)
		c.columnTypes(tab)
		c.sharedTypes(tab)
	}
}

// tableSources finds the sources whose documents have rows of a table: those that all of its formulas can read.
func (c *checker) tableSources(tab *table) {
	formulas := slices.DeleteFunc(tab.formulas(), func(x *expression) bool { return x == nil })
	tab.from = c.sourcesOf("make a table for each source, or read both through a node with `in_by_source`", formulas...)
	if tab.scope == nil || tab.scope.element == nil {
		return
	}
	if both := tab.from & tab.scope.element.from; both != 0 {
		tab.from = both
		return
	}
	c.add(tab.at, "make a table for each source", "%s has a row for each %s, of %s, but its formulas read what only documents of %s have", tab.what(),
		tab.scope, c.sourceText(tab.scope.element.from), c.sourceText(tab.from))
}

// inTable faults a formula that reads elements which the table doesn't have.
func (c *checker) inTable(tab *table, x *expression) {
	x.scope = c.scopeOf(x)
	if tab.scope == nil || x.broken || tab.scope.within(x.scope) {
		return
	}
	x.broken = true
	c.add(x.text.at, "add `for: "+x.scope.String()+"`, or read it from the list",
		"%s reads what is of each %s, but a row of the table is of each %s", x.what, x.scope, c.rowOf(tab))
}

func (c *checker) rowOf(tab *table) string {
	if tab.scope == c.root {
		return "document"
	}
	return tab.scope.String()
}

func (c *checker) keyType(tab *table) {
	if tab.key == nil || tab.key.broken {
		return
	}
	switch tab.key.typ().Kind {
	case stream.String, stream.Int, stream.Dynamic:
	default:
		c.add(tab.key.text.at, "convert it: string(...)", "%s must be a string or an int, but is %s", tab.key.what, tab.key.typ())
	}
}

func (c *checker) columnTypes(tab *table) {
	for _, col := range tab.columns {
		if col.value.broken {
			continue
		}
		switch col.value.typ().Kind {
		case stream.Null:
			c.add(col.value.text.at, "remove it", "%s is always null", col.value.what)
		case stream.Dynamic:
			c.warnings.add(col.value.text.at, "convert it: string(...), int(...)", "%s has no known type, so targets store it as JSON", col.value.what)
		}
	}
}

// unused faults nodes, elements and models that no table depends on.
func (c *checker) unused() {
	if len(c.tables) == 0 {
		return // said already
	}
	used := map[*name]bool{}
	var use func(n *name)
	use = func(n *name) {
		if used[n] {
			return
		}
		used[n] = true
		if n.step != nil {
			used[n.step.name] = true
			for _, r := range n.step.reads() {
				use(r)
			}
		}
	}
	for _, tab := range c.tables {
		if tab.scope != nil && tab.scope.element != nil {
			use(tab.scope.element)
		}
		for _, x := range tab.formulas() {
			for _, n := range x.names() {
				use(n)
			}
		}
	}
	c.reportUnused(used)
}

func (c *checker) reportUnused(used map[*name]bool) {
	for _, s := range c.steps {
		switch {
		case !used[s.name] && c.names[s.name.ident] == s.name:
			c.add(s.name.at, "use it in a table's columns, or remove it", "%s is not used by any table", s.what())
		case used[s.name] && s.elem != nil && !used[s.elem]:
			c.add(s.elem.at, "remove `each`, or make a table `for: "+s.elem.ident+"`", "the element %s is not used by any table", s.elem.ident)
		}
	}
	for _, ident := range sortedKeys(c.models) {
		if m := c.models[ident]; !m.used {
			c.add(m.at, "remove it", "model %s is not used by any node", ident)
		}
	}
	for _, s := range c.sources {
		if n := s.name; !used[n] && c.names[n.ident] == n {
			c.add(n.at, "read it in a formula, e.g. in: "+n.ident+".content", "source %s is not read by any table or node", n.ident)
		}
	}
}
