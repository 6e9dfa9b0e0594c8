package flow

import (
	"errors"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

func joined(words []string) string { return strings.Join(words, ", ") }

func (c *checker) targets(t *tree) {
	if t == nil || !c.isMapping(t, "`targets`") {
		return
	}
	for _, e := range t.entries {
		c.matches(e.at, "a target", e.key, topicPart, topicRule)
		if c.isMapping(e.value, "target "+e.key) {
			c.target(e)
		}
	}
}

func (c *checker) target(e entry) {
	what := "target " + e.key
	target := Target{Name: e.key}
	kind, ok := c.kindKey(e, what, "kind of target", sortedKeys(c.registry.Sinks), laterSinks, laterTargetKeys, "tables")
	if ok && c.isMapping(kind.value, kind.key+" of "+what) {
		target.Kind, target.Spec = kind.key, c.registry.Sinks[kind.key]
		target.Config.Settings, _ = c.settings(kind.value, kind.key+" of "+what, target.Spec.Settings, nil)
	}
	c.targetTables(e, &target, ok)
	c.together(e, target)
	c.flow.Targets = append(c.flow.Targets, target)
}

// together checks the tables of a target as its kind wants them; what it says is of use once nothing else is wrong.
func (c *checker) together(e entry, target Target) {
	if target.Spec.Check == nil || c.err() != nil {
		return
	}
	tables := slices.Clone(target.Config.Tables)
	for i, kept := range tables {
		if tab := c.tableOf(kept.Table.Name, e.at, "target "+e.key); tab != nil && tab.rolls {
			tables[i].Front = target.Spec.As(kept)
		}
	}
	err := target.Spec.Check(tables)
	var said *stream.Error
	if errors.As(err, &said) {
		err = said.Err
	}
	if err != nil {
		c.add(e.at, "", "target %s: %v", e.key, err)
	}
}

// targetTables reads `tables` of a target, a list or a mapping with settings. Without a known kind of target the
// settings of tables are not checked.
func (c *checker) targetTables(e entry, target *Target, kindKnown bool) {
	what := "target " + e.key
	t := e.value.get("tables")
	switch {
	case t == nil:
		c.add(e.at, "write `tables: ["+c.tableNames(", ")+"]`", "%s needs `tables`", what)
	case t.shape == shapeList:
		c.tableList(t, what, target)
	case c.isMapping(t, "`tables` of "+what):
		for _, entry := range t.entries {
			if tab := c.tableOf(entry.key, entry.at, what); tab != nil {
				c.targetTable(entry, tab, target, kindKnown)
			}
		}
	}
	if t != nil && len(t.items)+len(t.entries) == 0 {
		c.add(t.at, "known: "+c.tableNames(", "), "%s keeps no table", what)
	}
}

func (c *checker) tableList(t *tree, what string, target *Target) {
	seen := map[string]bool{}
	for _, item := range t.items {
		ident, ok := c.text(item, "each entry of `tables`")
		if !ok {
			continue
		}
		if seen[ident] {
			c.add(item.at, "name it once", "%s names table %s twice", what, ident)
			continue
		}
		seen[ident] = true
		if tab := c.tableOf(ident, item.at, what); tab != nil {
			empty := entry{ident, item.at, &tree{at: item.at, shape: shapeMapping}}
			c.targetTable(empty, tab, target, target.Kind != "")
		}
	}
}

func (c *checker) tableNames(separator string) string {
	var names []string
	for _, t := range c.tables {
		names = append(names, t.ident)
	}
	return strings.Join(names, separator)
}

func (c *checker) tableOf(ident string, at place, what string) *table {
	i := slices.IndexFunc(c.tables, func(t *table) bool { return t.ident == ident })
	if i >= 0 {
		return c.tables[i]
	}
	var names []string
	for _, t := range c.tables {
		names = append(names, t.ident)
	}
	c.add(at, didYouMean(ident, names), "%s: there is no table %q", what, ident)
	return nil
}

func (c *checker) targetTable(e entry, tab *table, target *Target, kindKnown bool) {
	what := "table " + e.key + " of target " + target.Name
	if !c.isMapping(e.value, what) {
		return
	}
	kept := stream.TargetTable{Table: tab.declared()}
	if kindKnown && tab.shared != nil && !target.Spec.Guarantees.Merges {
		c.add(e.at, "keep it in a target that does, such as neo4j", "%s is shared by documents, and %s does not merge rows", what, target.Kind)
	}
	if kindKnown && tab.rolls && !target.Spec.Guarantees.Fronts {
		c.add(e.at, "keep it in one that can, of kind "+joined(c.showing())+"; or leave `rollout` out",
			"%s rolls out blue-green, and %s can't show one of two tables under one name", what, target.Kind)
	}
	if kindKnown {
		kept.Settings, _ = c.settings(e.value, what, target.Spec.TableSettings, laterTargetKeys, "where")
	}
	target.Config.Tables = append(target.Config.Tables, kept)
	if w := e.value.get("where"); w != nil {
		c.targetWhere(w, "`where` of "+what, tab, target)
	}
}

// showing are the kinds of targets that can show one of two tables under one name.
func (c *checker) showing() (kinds []string) {
	for _, kind := range sortedKeys(c.registry.Sinks) {
		if c.registry.Sinks[kind].Guarantees.Fronts {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// targetWhere compiles a target's condition on a table; its names are the table's columns.
func (c *checker) targetWhere(t *tree, what string, tab *table, target *Target) {
	columns := map[string]int{}
	var vars []formula.Var
	for i, col := range tab.columns {
		if !celKeywords[col.ident] {
			columns[col.ident] = i
			vars = append(vars, formula.Var{Name: col.ident, Type: col.value.typ()})
		}
	}
	env, err := formula.NewEnv(vars)
	if err != nil {
		c.add(t.at, "", "%s: %v", what, err)
		return
	}
	x := c.parseIn(env, t, what)
	c.expectBool(x)
	if x.broken {
		return
	}
	if target.Where == nil {
		target.Where = map[string]func([]stream.Value) (bool, error){}
	}
	target.Where[tab.ident] = func(row []stream.Value) (bool, error) {
		v, err := x.formula.Eval(func(ident string) stream.Value { return row[columns[ident]] })
		if err != nil {
			return false, x.failure(err)
		}
		return x.truth(v)
	}
}
