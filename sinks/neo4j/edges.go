package neo4j

import (
	"context"
	"fmt"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// connect makes relationships what their rows give. One runs while its row and both of its ends are there; a node takes its relationships with it.
func (d *derivation) connect(ctx context.Context, t *table, ids []identity) error {
	rows, err := d.rowsOf(ctx, t, ids)
	if err != nil {
		return err
	}
	gone, there := map[string][]any{}, map[string][]any{}
	for _, id := range ids {
		var now link
		var merged []stream.Value
		if len(rows[id]) > 0 {
			merged = t.merged(rows[id])
			now = t.link(id.document, merged)
		}
		if was := d.before[t][id]; was != now && was != (link{}) {
			gone[was.typ] = append(gone[was.typ], d.ends(t, id, was))
		}
		if now == (link{}) {
			continue
		}
		u := d.ends(t, id, now)
		if u["properties"], err = d.edgeProperties(t, id, merged, len(rows[id])); err != nil {
			return refuse(t, rows[id][0].RowID, err)
		}
		there[now.typ] = append(there[now.typ], u)
	}
	if err := d.eachType(ctx, t, gone, "MATCH (a)-[r:%s {"+idKey+": u.id}]->(b) DELETE r"); err != nil {
		return err
	}
	return d.eachType(ctx, t, there, "MERGE (a)-[r:%s {"+idKey+": u.id}]->(b) SET r = u.properties")
}

// edgeID is the property by which a relationship is known to be ours, and which one it is.
func (d *derivation) edgeID(t *table, id identity) string {
	return fingerprint(d.sink.rowTable(t), id.document, id.key)
}

func (d *derivation) ends(t *table, id identity, l link) args {
	return args{"id": d.edgeID(t, id), "from": l.from.pair(), "to": l.to.pair()}
}

func (d *derivation) edgeProperties(t *table, id identity, columns []stream.Value, rows int) (args, error) {
	p, err := t.properties(columns)
	if err != nil {
		return nil, err
	}
	p[idKey], p[tableKey], p[keyKey] = d.edgeID(t, id), d.sink.rowTable(t), id.key
	if t.shared() {
		p[countKey] = int64(rows)
	} else {
		p[documentKey] = id.document
	}
	return p, nil
}

// eachType runs a statement for the relationships of each type, with their ends as a and b: types can't be parameters.
func (d *derivation) eachType(ctx context.Context, t *table, byType map[string][]any, cypher string) error {
	for typ, edges := range byType {
		for piece := range slices.Chunk(edges, maxRows) {
			_, err := d.tx.run(ctx, t.matchEnds()+fmt.Sprintf(cypher, quote(typ)), args{"rows": piece})
			if err != nil {
				return fmt.Errorf("table %q: %w", t.decl.Name, err)
			}
		}
	}
	return nil
}

// matchEnds finds, for each of $rows as u, the nodes a and b at both ends; rows without one of them drop out.
func (t *table) matchEnds() string {
	return "UNWIND $rows AS u MATCH " + t.edge.from.table.match("a", "u.from") + " MATCH " + t.edge.to.table.match("b", "u.to") + " "
}
