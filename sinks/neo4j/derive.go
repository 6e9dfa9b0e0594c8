package neo4j

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// derivation is what one transaction does to the graph beyond its rows. Targets without derived tables have none of it.
//
// Such transactions of one target take turns (its lock node): Neo4j reads committed state only, so a relationship's row and the node at its end,
// written by two partitions at once, would each miss the other; so would two contributions to one node.
type derivation struct {
	sink   *Sink
	tx     txn
	fresh  map[*table][]identity        // nodes that came to be
	before map[*table]map[identity]link // where the relationships of touched rows ran
}

// begin takes the lock and notes where relationships run whose rows are to be written.
func (d *derivation) begin(ctx context.Context, puts map[*table][]put) error {
	if !d.sink.derives {
		return nil
	}
	if _, err := d.tx.run(ctx, "MERGE (l:"+lockLabel+" {name: $name}) SET l.locked = true", args{"name": d.sink.owner}); err != nil {
		return err
	}
	d.before = map[*table]map[identity]link{}
	for _, t := range d.sink.order {
		if t.edge == nil || len(puts[t]) == 0 {
			continue
		}
		rows, err := d.rowsOf(ctx, t, entities(t, puts[t]))
		if err != nil {
			return err
		}
		d.before[t] = map[identity]link{}
		for id, contributions := range rows {
			d.before[t][id] = t.link(id.document, t.merged(contributions))
		}
	}
	return nil
}

// end derives what the rows that were written make of the graph: nodes first, then the relationships of written rows and of the nodes that came to be.
func (d *derivation) end(ctx context.Context, puts map[*table][]put) error {
	if !d.sink.derives {
		return nil
	}
	for _, t := range d.sink.order {
		if t.edge == nil && t.shared() && len(puts[t]) > 0 {
			if err := d.mergeNodes(ctx, t, entities(t, puts[t])); err != nil {
				return err
			}
		}
	}
	waiting, err := d.waiting(ctx)
	if err != nil {
		return err
	}
	for _, t := range d.sink.order {
		if t.edge == nil {
			continue
		}
		ids := unique(append(entities(t, puts[t]), waiting[t]...))
		if err := d.connect(ctx, t, ids); err != nil {
			return err
		}
	}
	return nil
}

// entities are the nodes or relationships that rows belong to, each once.
func entities(t *table, puts []put) []identity {
	ids := make([]identity, len(puts))
	for i, p := range puts {
		ids[i] = t.entity(p.RowID)
	}
	return unique(ids)
}

func unique(ids []identity) []identity {
	slices.SortFunc(ids, func(a, b identity) int {
		if c := strings.Compare(a.document, b.document); c != 0 {
			return c
		}
		return strings.Compare(a.key, b.key)
	})
	return slices.Compact(ids)
}

func pairs(ids []identity) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = id.pair()
	}
	return out
}

// rowsOf reads the rows of entities, each entity's in order of (document, key).
func (d *derivation) rowsOf(ctx context.Context, t *table, ids []identity) (map[identity][]stream.RowWrite, error) {
	pattern := "(r:" + rowLabel + " {table: $table, document: i[0], key: i[1]})"
	if t.shared() {
		pattern = "(r:" + rowLabel + " {table: $table, key: i[1]})"
	}
	out := map[identity][]stream.RowWrite{}
	for piece := range slices.Chunk(ids, maxRows) {
		rows, err := d.tx.run(ctx, "UNWIND $ids AS i MATCH "+pattern+" RETURN r.document, r.key, r.version, r.lineage, r.columns",
			args{"table": d.sink.rowTable(t), "ids": pairs(piece)})
		if err != nil {
			return nil, fmt.Errorf("table %q: %w", t.decl.Name, err)
		}
		for _, row := range rows {
			r, err := t.scanRow(row)
			if err != nil {
				return nil, err
			}
			id := t.entity(r.RowID)
			out[id] = append(out[id], r)
		}
	}
	for _, rows := range out {
		slices.SortFunc(rows, place.ByKey)
	}
	return out, nil
}

// scanRow reads document, key, version, lineage and columns of a row that lies apart.
func (t *table) scanRow(row []any) (r stream.RowWrite, err error) {
	r.Table = t.decl.Name
	r.Document, _ = row[0].(string)
	r.Key, _ = row[1].(string)
	version, _ := row[2].(int64)
	r.Version = stream.Unpack(version)
	if lineage, ok := row[3].(string); ok {
		r.Lineage = []byte(lineage)
	}
	r.Columns, err = unpack(row[4], len(t.decl.Columns))
	return r, err
}

// mergeNodes makes each node of a shared table what its rows give, and removes those that have none.
func (d *derivation) mergeNodes(ctx context.Context, t *table, ids []identity) error {
	rows, err := d.rowsOf(ctx, t, ids)
	if err != nil {
		return err
	}
	var gone []identity
	var there []any
	for _, id := range ids {
		if len(rows[id]) == 0 {
			gone = append(gone, id)
			continue
		}
		properties, err := t.properties(t.merged(rows[id]))
		if err != nil {
			return refuse(t, rows[id][0].RowID, err)
		}
		properties[keyKey], properties[countKey] = id.key, int64(len(rows[id]))
		there = append(there, args{"id": id.pair(), "properties": properties})
	}
	if _, err := d.tx.run(ctx, "UNWIND $ids AS i MATCH "+t.match("n", "i")+" DETACH DELETE n", args{"ids": pairs(gone)}); err != nil {
		return err
	}
	for piece := range slices.Chunk(there, maxRows) {
		fresh, err := d.tx.run(ctx, "UNWIND $rows AS u MERGE "+t.match("n", "u.id")+" WITH n, u, n."+countKey+
			" IS NULL AS fresh SET n = u.properties WITH u, fresh WHERE fresh RETURN u.id[0], u.id[1]", args{"rows": piece})
		if err != nil {
			return fmt.Errorf("table %q: %w", t.decl.Name, err)
		}
		if t.ends {
			d.fresh[t] = append(d.fresh[t], identities(fresh)...)
		}
	}
	return nil
}

// waiting finds the relationships whose rows name one of the nodes that came to be.
func (d *derivation) waiting(ctx context.Context) (map[*table][]identity, error) {
	var refs []any
	for t, ids := range d.fresh {
		for _, id := range ids {
			refs = append(refs, t.ref(id))
		}
	}
	tables := map[string]*table{}
	for _, t := range d.sink.order {
		if t.edge != nil {
			tables[d.sink.rowTable(t)] = t
		}
	}
	found := map[*table][]identity{}
	for piece := range slices.Chunk(refs, maxRows) {
		for _, side := range []string{"begins", "ends"} {
			rows, err := d.tx.run(ctx, "UNWIND $refs AS ref MATCH (r:"+rowLabel+" {"+side+": ref}) WHERE r.table IN $tables RETURN r.table, r.document, r.key",
				args{"refs": piece, "tables": slices.Collect(maps.Keys(tables))})
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				name, _ := row[0].(string)
				t := tables[name]
				id := identities([][]any{row[1:]})[0]
				found[t] = append(found[t], t.entity(stream.RowID{Document: id.document, Key: id.key}))
			}
		}
	}
	return found, nil
}
