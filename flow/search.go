package flow

import (
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// SearchColumn finds the vector column of a table that a text can be searched in, and the node whose operator turns the
// text into a vector to compare with. Without a column's name the table must have one such column only. The errors have
// kind Usage.
func (p *Program) SearchColumn(tableName, columnName string) (string, *stream.Node, error) {
	op := "search table " + tableName
	_, held := p.holding(tableName)
	if held == nil {
		return "", nil, stream.Errorf(stream.Usage, op, "the flow has no such table; it has: %s", strings.Join(p.tableNames(), ", "))
	}
	var vectors []column
	for _, c := range held.columns {
		if c.value.typ().Kind == stream.Vector && (columnName == "" || c.ident == columnName) {
			vectors = append(vectors, c)
		}
	}
	switch {
	case len(vectors) == 0 && columnName != "":
		return "", nil, stream.Errorf(stream.Usage, op, "it has no vector column %q", columnName)
	case len(vectors) == 0:
		return "", nil, stream.Errorf(stream.Usage, op, "it has no vector column")
	case len(vectors) > 1:
		return "", nil, stream.Errorf(stream.Usage, op, "it has several vector columns; choose one with --column: %s", strings.Join(idents(vectors), ", "))
	}
	n, err := vectors[0].vectorise(op)
	return vectors[0].ident, n, err
}

func (p *Program) tableNames() []string {
	var names []string
	for _, t := range p.Tables() {
		names = append(names, t.Name)
	}
	return names
}

func idents(columns []column) []string {
	var names []string
	for _, c := range columns {
		names = append(names, c.ident)
	}
	return names
}

// vectorise finds the node whose vectors the column holds. Vectors of different models can't be compared with one query.
func (c column) vectorise(op string) (*stream.Node, error) {
	nodes := vectorNodes(c.value, map[*step]bool{})
	if len(nodes) == 0 {
		return nil, stream.Errorf(stream.Usage, op, "column %s holds vectors that no node of the flow computes from a text", c.ident)
	}
	for _, n := range nodes[1:] {
		if n.Memo != nodes[0].Memo {
			return nil, stream.Errorf(stream.Usage, op, "column %s mixes the vectors of nodes %s and %s, which one query can't be compared with; "+
				"give each a column of its own", c.ident, nodes[0].Name, n.Name)
		}
	}
	return nodes[0], nil
}

// vectorNodes are the operators' nodes whose vectors a formula passes on: directly, by .or(...) and the like, or through
// nodes that are formulas themselves.
func vectorNodes(x *expression, seen map[*step]bool) (found []*stream.Node) {
	for _, n := range x.names() {
		s := n.step
		if s == nil || n.kind != nodeName || n.typ.Kind != stream.Vector || seen[s] {
			continue
		}
		seen[s] = true
		if s.node != nil {
			found = append(found, s.node)
			continue
		}
		for _, in := range s.formulas() {
			if in != s.when {
				found = append(found, vectorNodes(in, seen)...)
			}
		}
	}
	return found
}
