package neo4j

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// fields say where the parts of a row lie in a node.
type fields struct{ document, key, version, partition string }

func rowFields(v string) fields {
	return fields{v + ".document", v + ".key", v + ".version", v + ".partition"}
}

// rowPattern is the pattern of the nodes that hold a table's rows; $table is the table's name there.
func (t *table) rowPattern(v string) (string, fields) {
	if t.derived() {
		return "(" + v + ":" + rowLabel + " {table: $table})", rowFields(v)
	}
	return "(" + v + ":" + quote(t.label) + ")", fields{v + "." + documentKey, v + "." + keyKey, v + "." + versionKey, v + "." + partitionKey}
}

// pages reads nodes in order of (document, key), page by page. What is returned begins with these two.
func pages(ctx context.Context, tx txn, from string, f fields, where, returns string, a args, each func([][]any) error) error {
	a = maps.Clone(a)
	a["document"], a["key"], a["limit"] = "", "", maxRows
	order := " AND " + where + " RETURN " + returns + " ORDER BY " + f.document + ", " + f.key + " LIMIT $limit"
	first := "MATCH " + from + " WHERE " + f.document + " >= $document AND " + f.key + " >= $key" + order
	next := "MATCH " + from + " WHERE " + f.document + " >= $document AND (" + f.document + " > $document OR " + f.key + " > $key)" + order
	for cypher := first; ; cypher = next {
		page, err := tx.run(ctx, cypher, a)
		if err != nil || len(page) == 0 {
			return err
		}
		if page = slices.DeleteFunc(page, torn); len(page) == 0 {
			continue
		}
		last := identities(page[len(page)-1:])[0]
		a["document"], a["key"] = last.document, last.key
		if err := each(page); err != nil {
			return err
		}
	}
}

// torn reports whether a node was deleted between the match and the reading of its properties: a reader sees other writers' commits as they come.
func torn(row []any) bool { return row[0] == nil || row[1] == nil }

// ReadRows reads a table in order of (document, key), bytewise. Of a derived table it compares what readers see with what the rows give: a
// row whose node or relationship is not there is left out, and one whose properties were altered has the altered columns; where several rows are
// merged, the first of them.
func (s *Sink) ReadRows(ctx context.Context, name string, each func(stream.RowWrite) error) error {
	t, err := s.known(name)
	if err != nil {
		return err
	}
	from, f := t.rowPattern("r")
	returns := f.document + ", " + f.key + ", properties(r)"
	if t.derived() {
		returns = "r.document, r.key, r.version, r.lineage, r.columns"
	}
	return s.classed(s.op("read"), s.transact(ctx, longLimit, func(tx txn) error {
		d := derivation{sink: s, tx: tx}
		return pages(ctx, tx, from, f, "true", returns, args{"table": s.rowTable(t)}, func(page [][]any) error {
			rows, err := d.readPage(ctx, t, page)
			if err != nil {
				return err
			}
			for _, r := range rows {
				if err := each(r); err != nil {
					return err
				}
			}
			return nil
		})
	}))
}

func (d *derivation) readPage(ctx context.Context, t *table, page [][]any) ([]stream.RowWrite, error) {
	rows := make([]stream.RowWrite, 0, len(page))
	for _, row := range page {
		if !t.derived() {
			p, _ := row[2].(map[string]any)
			if p[documentKey] == nil {
				continue // torn
			}
			r, _ := t.scanNode(p)
			rows = append(rows, r)
			continue
		}
		r, err := t.scanRow(row)
		if err != nil {
			return nil, err
		}
		if r.Columns, err = t.round(r.Columns); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	if t.derived() {
		return d.compared(ctx, t, rows)
	}
	return rows, nil
}

// scanNode reads a row that is a node.
func (t *table) scanNode(p args) (r stream.RowWrite, partition int32) {
	r.Table = t.decl.Name
	r.Document, _ = p[documentKey].(string)
	r.Key, _ = p[keyKey].(string)
	version, _ := p[versionKey].(int64)
	r.Version = stream.Unpack(version)
	if lineage, ok := p[lineageKey].(string); ok {
		r.Lineage = []byte(lineage)
	}
	r.Columns = t.columns(p)
	in, ok := p[partitionKey].(int64)
	if !ok || in < 0 || in > math.MaxInt32 {
		return r, -1
	}
	return r, int32(in)
}

func (s *Sink) known(name string) (*table, error) {
	t := s.tables[name]
	if t == nil {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "it keeps no table %s", name)
	}
	return t, nil
}
