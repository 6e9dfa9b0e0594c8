package receiver

import (
	"context"
	"encoding/json"
	"net/http"
)

// state says what is held of a flow's target, and of every table, whosever it is.
func (r *Receiver) state(ctx context.Context, flow, target string) any {
	tx, err := r.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	c := &change{tx: tx}
	places, tables := c.places(flow, target), c.tables()
	if c.err != nil {
		return c.err
	}
	return map[string]any{"protocol": 1, "places": places, "tables": tables}
}

func (c *change) places(flow, target string) (all []place) {
	c.each(func(scan func(...any) error) error {
		var p place
		var body []byte
		err := scan(&body)
		if err == nil {
			err = json.Unmarshal(body, &p)
		}
		all = append(all, p)
		return err
	}, `SELECT body FROM places WHERE flow = ? AND target = ?`, flow, target)
	return all
}

func (c *change) tables() (all []table) {
	c.each(func(scan func(...any) error) error {
		var t table
		var columns string
		err := scan(&t.Name, &t.Flow, &t.Target, &columns, &t.Declaration)
		t.Columns = json.RawMessage(columns)
		all = append(all, t)
		return err
	}, `SELECT name, flow, target, columns, declaration FROM tables`)
	return all
}

func (c *change) each(visit func(scan func(...any) error) error, query string, args ...any) {
	if c.err != nil {
		return
	}
	found, err := c.tx.Query(query, args...)
	if err != nil {
		c.err = err
		return
	}
	defer found.Close()
	for c.err == nil && found.Next() {
		c.err = visit(found.Scan)
	}
	if c.err == nil {
		c.err = found.Err()
	}
}

// make makes the tables of a target that holds nothing yet, or, to replace others, refuses all writers of it in the same transaction.
func (c *change) make(q *request) *refusal {
	moved := &refusal{status: http.StatusConflict, Error: "places or tables are others by now"}
	places, tables := map[int32]place{}, map[string]table{}
	for _, p := range c.places(q.Flow, q.Target) {
		places[p.Partition] = p
	}
	for _, t := range c.tables() {
		tables[t.Name] = t
	}
	for _, t := range q.Tables {
		held, exists := tables[t.Name]
		switch {
		case exists && (held.Flow != q.Flow || held.Target != q.Target), exists && !q.Replace && held.Declaration != t.Declaration:
			return moved
		case exists && !q.Replace:
			continue // made by another process of the same flow
		}
		for _, p := range places {
			if !q.Replace && (p.Next > 0 || p.Rebuild != nil) {
				return moved
			}
		}
		c.exec(`DELETE FROM rows WHERE tab = ?`, t.Name)
		c.exec(`INSERT OR REPLACE INTO tables VALUES (?, ?, ?, ?, ?)`, t.Name, q.Flow, q.Target, string(t.Columns), t.Declaration)
	}
	for _, name := range q.Left {
		c.exec(`UPDATE tables SET declaration = '' WHERE name = ? AND flow = ? AND target = ?`, name, q.Flow, q.Target)
	}
	if q.Replace && !c.raise(q, places) {
		return moved
	}
	return nil
}

// raise gives each partition another epoch and has it read again; false: a place is not as it was seen.
func (c *change) raise(q *request, places map[int32]place) bool {
	if len(q.Places) != len(places) {
		return false
	}
	for _, to := range q.Places {
		p, known := places[to.Partition]
		if !known || p.Epoch != to.Was || to.Epoch <= p.Epoch {
			return false
		}
		p.Epoch, p.Rebuild = to.Epoch, to.Rebuild
		c.save(q, p)
	}
	c.exec(`DELETE FROM rows WHERE staged = 1 AND `+ours, q.Flow, q.Target)
	return true
}
