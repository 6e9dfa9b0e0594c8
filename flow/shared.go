package flow

import (
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// mergeRules are the rules that `shared` names.
var mergeRules = []string{stream.MergeFirst.String(), stream.MergeLongest.String(), stream.MergeMax.String()}

// shared reads which rule each column of a shared table follows; those that it does not name take the first value.
func (c *checker) shared(tab *table, t *tree) {
	if t == nil || !c.isMapping(t, "`shared` of "+tab.what()) {
		return
	}
	if tab.key == nil {
		c.add(t.at, "add `for` and `key`", "%s: rows of several documents are one when their keys are equal, and it has no `key`", tab.what())
	}
	tab.shared = map[string]merging{}
	for _, e := range t.entries {
		what := "`shared` of " + tab.what()
		if !slices.ContainsFunc(tab.columns, func(col column) bool { return col.ident == e.key }) {
			c.add(e.at, didYouMean(e.key, columnNames(tab)), "%s: there is no column %q", what, e.key)
			continue
		}
		rule, ok := c.text(e.value, what)
		if i := slices.Index(mergeRules, rule); i >= 0 {
			tab.shared[e.key] = merging{stream.MergeRule(i), e.value.at}
		} else if ok {
			c.add(e.value.at, didYouMean(rule, mergeRules), "%s: there is no rule %q", what, rule)
		}
	}
}

// merging is a column's rule where it is written.
type merging struct {
	rule stream.MergeRule
	at   place
}

func columnNames(tab *table) []string {
	var names []string
	for _, col := range tab.columns {
		names = append(names, col.ident)
	}
	return names
}

// Kinds of values that rules compare; a rule that is not here takes every kind.
var comparedKinds = map[stream.MergeRule][]stream.Kind{
	stream.MergeLongest: {stream.String, stream.Bytes, stream.List, stream.Map, stream.Dynamic},
	stream.MergeMax:     {stream.Bool, stream.Int, stream.Double, stream.Decimal, stream.String, stream.Timestamp, stream.Dynamic},
}

// sharedTypes faults rules that can't compare the values of their columns.
func (c *checker) sharedTypes(tab *table) {
	for _, col := range tab.columns {
		m, named := tab.shared[col.ident]
		kinds := comparedKinds[m.rule]
		if !named || kinds == nil || col.value.broken || slices.Contains(kinds, col.value.typ().Kind) {
			continue
		}
		c.add(m.at, "convert it, e.g. string(...), or use first", "`shared` of %s: %s compares no %s, which column %s is", tab.what(), m.rule,
			col.value.typ(), col.ident)
	}
}

// rules are the table's rules by column; nil when it is not shared.
func (t *table) rules() []stream.MergeRule {
	if t.shared == nil {
		return nil
	}
	rules := make([]stream.MergeRule, len(t.columns))
	for i, col := range t.columns {
		rules[i] = t.shared[col.ident].rule
	}
	return rules
}
