package neo4j

import (
	"context"
	"fmt"
)

// Recreate makes the named tables anew, but for those that a twin has made meanwhile. First, in one transaction, every partition of the target gets a
// new epoch, which shuts out writers of the old declaration, and a rebuild up to the offset it had reached; the tables are noted as not made. Then
// their data goes in pieces, and last they are noted as made: a crash in between leaves them changed for the next Open.
func (s *Sink) Recreate(ctx context.Context, names []string) error {
	err := s.alone(ctx, longLimit, func() error {
		tables, err := s.unsound(ctx, names)
		if err != nil || len(tables) == 0 {
			return err
		}
		if err := s.transact(ctx, longLimit, func(tx txn) error { return s.unmake(ctx, tx, tables) }); err != nil {
			return err
		}
		for _, t := range tables {
			if err := s.remake(ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
	return s.classed(s.op("make tables anew in"), err)
}

// unsound are those of the named tables that are not as declared.
func (s *Sink) unsound(ctx context.Context, names []string) (tables []*table, err error) {
	c, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	var records map[string]record
	err = s.transact(ctx, stepLimit, func(tx txn) error {
		records, err = s.records(ctx, tx)
		return err
	})
	for _, name := range names {
		t, failure := s.known(name)
		if failure != nil {
			return nil, failure
		}
		is, failure := t.declaration()
		if failure != nil {
			return nil, failure
		}
		if records[s.recordName(t)].declaration != is || !c.has(t) {
			tables = append(tables, t)
		}
	}
	return tables, err
}

// unmake notes that the tables are not made, and that every partition is to be read again, with an empty stage.
func (s *Sink) unmake(ctx context.Context, tx txn, tables []*table) error {
	records, err := s.records(ctx, tx)
	if err != nil {
		return err
	}
	for _, t := range tables {
		r, recorded := records[s.recordName(t)]
		if err := s.own(ctx, tx, t, r, recorded); err != nil {
			return err
		}
		if err := s.note(ctx, tx, t, unmade); err != nil {
			return err
		}
	}
	_, err = tx.run(ctx, "MATCH (o:"+placeLabel+` {owner: $owner}) WHERE o.partition IS NOT NULL SET o.locked = true
WITH o, CASE WHEN coalesce(o.rebuild_end, 0) > o.next THEN o.rebuild_end ELSE o.next END AS reached
SET o.epoch = o.epoch + 1, o.run = o.run + 1, o.rebuild_end = CASE WHEN reached > 0 THEN reached END, o.rebuild_next = CASE WHEN reached > 0 THEN 0 END`,
		args{"owner": s.owner})
	return err
}

// remake deletes a table's data and rules, and makes the rules of its declaration.
func (s *Sink) remake(ctx context.Context, t *table) error {
	if err := s.clear(ctx, t); err != nil {
		return fmt.Errorf("table %q: %w", t.decl.Name, err)
	}
	c, err := s.catalog(ctx)
	if err != nil {
		return err
	}
	if err := s.dropRules(ctx, t, c); err != nil {
		return err
	}
	if c, err = s.catalog(ctx); err != nil {
		return err
	}
	if err := s.ensure(ctx, c, t.rules()); err != nil {
		return err
	}
	return s.transact(ctx, stepLimit, func(tx txn) error {
		text, err := t.declaration()
		if err != nil {
			return err
		}
		return s.note(ctx, tx, t, text)
	})
}

// clear deletes a table's rows and what readers saw of them, in pieces. Nodes with the label that are not ours stay.
func (s *Sink) clear(ctx context.Context, t *table) error {
	a := args{"table": s.rowTable(t), "piece": 5000}
	if err := s.repeat(ctx, "MATCH (r:"+rowLabel+" {table: $table}) WITH r LIMIT $piece DELETE r RETURN count(*)", a); err != nil {
		return err
	}
	if t.edge == nil {
		return s.repeat(ctx, "MATCH (n:"+quote(t.label)+") WHERE n."+keyKey+" IS NOT NULL WITH n LIMIT $piece DETACH DELETE n RETURN count(*)", a)
	}
	return s.repeat(ctx, "MATCH ()-[r]->() WHERE r."+tableKey+" = $table WITH r LIMIT $piece DELETE r RETURN count(*)", a)
}

// repeat runs a statement that returns how many it deleted until it finds no more.
func (s *Sink) repeat(ctx context.Context, cypher string, a args) error {
	for {
		rows, err := s.query(ctx, cypher, a)
		if err != nil {
			return err
		}
		if len(rows) == 0 || rows[0][0] == int64(0) {
			return nil
		}
	}
}

// dropRules drops the constraints and vector indexes over a table's label that are ours.
func (s *Sink) dropRules(ctx context.Context, t *table, c catalog) error {
	if t.edge != nil {
		return nil
	}
	for name, label := range c.constraints {
		if label != t.label || c.isForeign(name) {
			continue
		}
		if _, err := s.query(ctx, "DROP CONSTRAINT "+quote(name)+" IF EXISTS", nil); err != nil {
			return err
		}
	}
	rows, err := s.query(ctx, "SHOW INDEXES YIELD name, type, labelsOrTypes WHERE type = 'VECTOR' AND $label IN labelsOrTypes RETURN name", args{"label": t.label})
	for _, row := range rows {
		name, _ := row[0].(string)
		if c.isForeign(name) || err != nil {
			continue
		}
		_, err = s.query(ctx, "DROP INDEX "+quote(name)+" IF EXISTS", nil)
	}
	return err
}
