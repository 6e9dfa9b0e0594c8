package neo4j

import (
	"context"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// compared lets rows of a derived table show how the graph differs from what they give.
func (d *derivation) compared(ctx context.Context, t *table, page []stream.RowWrite) ([]stream.RowWrite, error) {
	ids := make([]identity, len(page))
	for i, r := range page {
		ids[i] = t.entity(r.RowID)
	}
	ids = unique(ids)
	rows, err := d.rowsOf(ctx, t, ids)
	if err != nil {
		return nil, err
	}
	seen, err := d.seen(ctx, t, rows)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(page, func(r stream.RowWrite) bool {
		id := t.entity(r.RowID)
		if len(rows[id]) == 0 || rows[id][0].RowID != r.RowID {
			return false // another row of the same entity shows it
		}
		is, expected := seen[id]
		if !expected {
			return false
		}
		if is == nil {
			return true
		}
		show(t, rows[id], is, r.Columns)
		return false
	}), nil
}

// show writes into columns what is, where it is not what the rows give.
func show(t *table, rows []stream.RowWrite, is args, columns []stream.Value) {
	want, err := t.round(t.merged(rows))
	if err != nil {
		return
	}
	for i, v := range t.columns(is) {
		if stream.FingerprintOf(v) != stream.FingerprintOf(want[i]) {
			columns[i] = v
		}
	}
}

// seen reads the nodes or relationships that should be there, as their properties; nil for one that is not.
func (d *derivation) seen(ctx context.Context, t *table, rows map[identity][]stream.RowWrite) (map[identity]args, error) {
	if t.edge != nil {
		return d.seenEdges(ctx, t, rows)
	}
	out := map[identity]args{}
	var ids []identity
	for id := range rows {
		out[id] = nil
		ids = append(ids, id)
	}
	found, err := d.tx.run(ctx, "UNWIND $ids AS i MATCH "+t.match("n", "i")+" RETURN i[0], i[1], properties(n)", args{"ids": pairs(ids)})
	for i, id := range identities(found) {
		out[id], _ = found[i][2].(map[string]any)
	}
	return out, err
}

func (d *derivation) seenEdges(ctx context.Context, t *table, rows map[identity][]stream.RowWrite) (map[identity]args, error) {
	byType := map[string][]any{}
	for id, contributions := range rows {
		if l := t.link(id.document, t.merged(contributions)); l != (link{}) {
			u := d.ends(t, id, l)
			u["pair"] = id.pair()
			byType[l.typ] = append(byType[l.typ], u)
		}
	}
	out := map[identity]args{}
	for typ, edges := range byType {
		found, err := d.tx.run(ctx, t.matchEnds()+"OPTIONAL MATCH (a)-[r:"+quote(typ)+" {"+idKey+": u.id}]->(b) RETURN u.pair[0], u.pair[1], properties(r)",
			args{"rows": edges})
		if err != nil {
			return nil, err
		}
		for i, id := range identities(found) {
			out[id], _ = found[i][2].(map[string]any)
		}
	}
	return out, nil
}
