package neo4j

import (
	"slices"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/merge"
)

// table is one table of the flow as this target keeps it. It is immutable once resolved.
type table struct {
	decl    stream.Table
	label   string   // of its nodes; "" for relationships
	front   string   // of an edition: the label that it would have without others; else ""
	edition int64    // the number of it
	edge    *edge    // nil for nodes
	ends    bool     // relationships begin or end at its nodes
	names   []string // of vector indexes, by column; "" for none
}

// edge is what makes rows relationships.
type edge struct {
	setting  string // type, or column
	typ      int    // the column that holds the type; -1: the type is the setting
	from, to end
	fromTo   [2][]string // the settings, for the declaration
}

// end is one of a relationship's two ends.
type end struct {
	column int
	table  *table
}

// identity names a node or relationship within its table. Those of shared tables have no document.
type identity struct{ document, key string }

func newTable(declared stream.TargetTable) (*table, error) {
	t := &table{decl: declared.Table, front: declared.Front, names: make([]string, len(declared.Table.Columns))}
	if err := t.settle(declared.Settings); err != nil {
		return nil, err
	}
	t.edition, _ = stream.EditionOf(t.label, t.front)
	if t.front != "" && t.edge != nil {
		return nil, t.refuse("its rows are relationships, which can't roll out; leave `rollout` out")
	}
	for i, c := range t.decl.Columns {
		if reserved[c.Name] {
			return nil, t.refuse("a column can't be named %s, which has a meaning of its own in this target; choose another name", c.Name)
		}
		if err := checkName("column of table "+t.decl.Name, c.Name); err != nil {
			return nil, err
		}
		if t.edge == nil && indexable(c.Type) {
			t.names[i] = t.indexName(c.Name)
		}
	}
	return t, nil
}

// indexName is that of a column's vector index. Readers put that of an edition together; columns hold no point.
func (t *table) indexName(column string) string {
	if t.front != "" {
		return ownPrefix + "vector_" + t.label + "." + column
	}
	return ownPrefix + "vector_" + fingerprint(t.label, column)
}

// settle reads node, edge, from and to.
func (t *table) settle(s stream.Settings) error {
	node, typ := s.String("node"), s.String("edge")
	from, to := s.Strings("from"), s.Strings("to")
	switch {
	case typ == "" && len(from)+len(to) > 0:
		return t.refuse("`from` and `to` belong to a table of relationships, which has `edge`")
	case typ == "":
		if t.label = node; node == "" {
			t.label = t.decl.Name
		}
		return checkName("label", t.label)
	case node != "":
		return t.refuse("its rows are nodes or relationships: remove `node` or `edge`")
	case len(from) != 2 || len(to) != 2:
		return t.refuse("`edge` needs `from: [LABEL, COLUMN]` and `to: [LABEL, COLUMN]`")
	}
	t.edge = &edge{setting: typ, typ: t.column(typ), fromTo: [2][]string{from, to}}
	if t.edge.typ < 0 {
		return checkName("type", typ)
	}
	return nil
}

func (t *table) refuse(format string, args ...any) error {
	return stream.Errorf(stream.Usage, configuring, "table "+t.decl.Name+": "+format, args...)
}

func (t *table) column(name string) int {
	return slices.IndexFunc(t.decl.Columns, func(c stream.Field) bool { return c.Name == name })
}

// resolve finds the tables at the ends of a table of relationships. fronts are the labels under which editions are known.
func (t *table) resolve(labels map[string]*table, fronts map[string]bool) error {
	if t.edge == nil {
		return nil
	}
	for i, end := range []*end{&t.edge.from, &t.edge.to} {
		setting := t.edge.fromTo[i]
		if fronts[setting[0]] {
			return t.refuse("the nodes with the label %q roll out, and relationships can't follow them from edition to edition; leave `rollout` of their table out",
				setting[0])
		}
		if end.table = labels[setting[0]]; end.table == nil {
			return t.refuse("no table of this target is kept as nodes with the label %q", setting[0])
		}
		if end.column = t.column(setting[1]); end.column < 0 {
			return t.refuse("it has no column %q to name a node by", setting[1])
		}
		if t.shared() && end.table.decl.Keyed && !end.table.shared() {
			return t.refuse("its rows are shared by documents, so they can't name nodes of the label %q, each of which is of one document", setting[0])
		}
		end.table.ends = true
	}
	return nil
}

// derived reports whether readers see something else than the rows themselves.
func (t *table) derived() bool { return t.edge != nil || t.shared() }

func (t *table) shared() bool { return t.decl.Shared != nil }

// entity is the node or relationship that a row belongs to.
func (t *table) entity(r stream.RowID) identity {
	if t.shared() {
		return identity{key: r.Key}
	}
	return identity{r.Document, r.Key}
}

// merged gives the columns of an entity from its rows, in order of (document, key).
func (t *table) merged(rows []stream.RowWrite) []stream.Value {
	if !t.shared() {
		return rows[0].Columns
	}
	contributions := make([][]stream.Value, len(rows))
	for i, r := range rows {
		contributions[i] = r.Columns
	}
	return merge.Columns(t.decl.Shared, contributions)
}

// link is where a relationship runs. The zero link is none: an end or the type is not said.
type link struct {
	typ      string
	from, to identity
}

// link reads a relationship's ends and type from its columns; document is that of its row.
func (t *table) link(document string, columns []stream.Value) link {
	l := link{typ: t.edge.setting}
	if t.edge.typ >= 0 {
		l.typ = columns[t.edge.typ].Str()
	}
	from, begins := t.edge.from.names(document, columns)
	to, ends := t.edge.to.names(document, columns)
	if !isName(l.typ) || !begins || !ends {
		return link{}
	}
	l.from, l.to = from, to
	return l
}

// names is the node that a row names at this end: of a shared table by its key; of a table with keys by the key, within the
// row's own document; of a table of one row for each document by the document's ID.
func (e end) names(document string, columns []stream.Value) (identity, bool) {
	v := columns[e.column]
	text := v.Str()
	if v.Kind() == stream.Int {
		text = v.String()
	}
	switch {
	case v.IsNull():
		return identity{}, false
	case e.table.shared():
		return identity{key: text}, true
	case e.table.decl.Keyed:
		return identity{document, text}, true
	}
	return identity{document: text}, true
}

// ref is the word by which rows of relationships name a node, so that they are found when it comes.
func (t *table) ref(id identity) string { return fingerprint(t.label, id.document, id.key) }

// match is the pattern of a node of this table; at is an expression that holds its identity as [document, key].
func (t *table) match(variable, at string) string {
	if t.shared() {
		return "(" + variable + ":" + quote(t.label) + " {" + keyKey + ": " + at + "[1]})"
	}
	return "(" + variable + ":" + quote(t.label) + " {" + documentKey + ": " + at + "[0], " + keyKey + ": " + at + "[1]})"
}

// pair is an identity as Cypher gets it.
func (id identity) pair() []any { return []any{id.document, id.key} }
