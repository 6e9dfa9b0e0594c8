package neo4j

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// layoutVersion is raised when what is kept beside the declared columns changes.
const layoutVersion = 1

// declaration is what a table was made from, as text.
type declaration struct {
	Layout  int         `json:"layout"`
	Label   string      `json:"label,omitempty"`
	Edge    string      `json:"edge,omitempty"`
	Ends    [][]string  `json:"ends,omitempty"`
	Shared  []string    `json:"shared,omitempty"`
	Merged  bool        `json:"merged,omitempty"`
	Columns [][2]string `json:"columns"`
}

func (t *table) declaration() (string, error) {
	d := declaration{Layout: layoutVersion, Label: t.label, Merged: t.shared()}
	for i, c := range t.decl.Columns {
		d.Columns = append(d.Columns, [2]string{c.Name, c.Type.String()})
		if t.shared() {
			d.Shared = append(d.Shared, t.decl.Shared[i].String())
		}
	}
	if t.edge != nil {
		d.Edge = t.edge.setting
		for i, end := range []end{t.edge.from, t.edge.to} {
			kind := "document"
			if end.table.shared() {
				kind = "shared"
			} else if end.table.decl.Keyed {
				kind = "keyed"
			}
			d.Ends = append(d.Ends, append([]string{kind}, t.edge.fromTo[i]...))
		}
	}
	b, err := json.Marshal(d)
	return string(b), err
}

// unmade is the declaration of a table that is being made, or that the flow stopped keeping here: its rows are out of date.
const unmade = ""

// record is a node of the label _freshet_table.
type record struct{ owner, flow, target, declaration string }

// nodeRecord starts the records' names of tables of nodes.
const nodeRecord = "node "

// recordName is a table's name in its record: labels are the database's, the names of other tables the flow's own.
func (s *Sink) recordName(t *table) string {
	if t.edge == nil {
		return nodeRecord + t.label
	}
	return "edge " + s.rowTable(t)
}

// Open connects and makes what is absent: bookkeeping, constraints, indexes. A table that is absent although rows were applied before, since it
// came late or somebody dropped its constraint, counts as changed: made now, it would look complete. Repeatable; not concurrent with other calls.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.flow, s.target, s.owner = flow, target, fingerprint(flow, target)
	changed, err := s.open(ctx)
	return changed, s.classed(s.op("open"), err)
}

func (s *Sink) open(ctx context.Context) (changed []string, err error) {
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	err = s.alone(ctx, stepLimit, func() error {
		changed, err = s.declare(ctx)
		return err
	})
	return changed, err
}

// alone runs work while no twin does: constraints that are made side by side wait for each other without an end, and what a twin has
// made, and applied since, must not look as if it were absent. The lock is its own transaction's, since schema commands need transactions of
// theirs; that is rolled back, as the server may refuse to commit one that is older than a constraint.
//
// No constraint makes the node one, since it would be made before there is a lock: twins that start at the same moment may each make a
// node. All of them are locked, so of any two twins the one whose node came later locks the other's too.
func (s *Sink) alone(ctx context.Context, limit time.Duration, work func() error) error {
	if _, err := s.query(ctx, "MERGE (l:"+turnLabel+" {name: 'declarations'})", nil); err != nil {
		return err
	}
	done := errors.New("done")
	err := s.transact(ctx, limit, func(tx txn) error {
		if _, err := tx.run(ctx, "MATCH (l:"+turnLabel+") WITH l ORDER BY elementId(l) SET l.locked = true", nil); err != nil {
			return err
		}
		if err := work(); err != nil {
			return err
		}
		return done
	})
	if errors.Is(err, done) {
		return nil
	}
	return err
}

// declare makes what is absent and returns the tables that changed.
func (s *Sink) declare(ctx context.Context) (changed []string, err error) {
	c, err := s.catalog(ctx)
	if err != nil {
		return nil, err
	}
	rules := bookkeeping
	if s.rollsOut() {
		rules = append(rules[:len(rules):len(rules)], oneFront)
	}
	if err := s.ensure(ctx, c, rules); err != nil {
		return nil, err
	}
	var sound []*table
	err = s.transact(ctx, stepLimit, func(tx txn) error {
		changed, sound = nil, nil
		records, err := s.records(ctx, tx)
		if err != nil {
			return err
		}
		begun, err := s.begun(ctx, tx)
		if err != nil {
			return err
		}
		for _, t := range s.order {
			ready, err := s.judge(ctx, tx, t, c, records, begun)
			if err != nil {
				return err
			}
			if ready {
				sound = append(sound, t)
			} else {
				changed = append(changed, t.decl.Name)
			}
		}
		return s.leaveOut(ctx, tx, records)
	})
	if err != nil {
		return nil, err
	}
	for _, t := range sound {
		if err := s.ensure(ctx, c, t.rules()); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// judge reports whether a table is as declared, or can be since the target has not begun; then its record is made. A table that isn't ours is an error.
func (s *Sink) judge(ctx context.Context, tx txn, t *table, c catalog, records map[string]record, begun bool) (ready bool, err error) {
	r, recorded := records[s.recordName(t)]
	if err := s.own(ctx, tx, t, r, recorded); err != nil {
		return false, err
	}
	if names := c.foreign(t); len(names) > 0 {
		return false, stream.Errorf(stream.Usage, s.op("open"), "label %q was altered by hand: constraint %s was added to it; drop that", t.label,
			strings.Join(names, ", "))
	}
	is, err := t.declaration()
	if err != nil {
		return false, err
	}
	switch {
	case recorded && r.declaration != is, !(recorded && c.has(t)) && begun:
		return false, nil
	case recorded:
		return true, nil
	}
	return true, s.note(ctx, tx, t, is)
}

// own refuses a label that something else uses.
func (s *Sink) own(ctx context.Context, tx txn, t *table, r record, recorded bool) error {
	if recorded && r.owner != s.owner {
		return stream.Errorf(stream.Usage, s.op("open"), "label %q is kept by flow %s, target %s; choose another by the setting `node`", t.label, r.flow, r.target)
	}
	if recorded || t.edge != nil {
		return nil
	}
	switch held, err := s.frontOf(ctx, tx, t.label); {
	case err != nil:
		return err
	case held.owner == s.owner: // of a table that is declared no more
		if _, err := tx.run(ctx, "MATCH (f:"+frontLabel+" {name: $name}) DELETE f", args{"name": t.label}); err != nil {
			return err
		}
	case held.owner != "":
		return stream.Errorf(stream.Usage, s.op("open"), "flow %s, target %s shows editions under the label %q; choose another by the setting `node`", held.flow,
			held.target, t.label)
	}
	there, err := s.anyNode(ctx, tx, t.label)
	if err == nil && there {
		err = stream.Errorf(stream.Usage, s.op("open"),
			"there are nodes with the label %q that this flow did not make; delete them, or choose another by the setting `node`", t.label)
	}
	return err
}

func (s *Sink) anyNode(ctx context.Context, tx txn, label string) (bool, error) {
	rows, err := tx.run(ctx, "MATCH (n:"+quote(label)+") RETURN 1 LIMIT 1", nil)
	return len(rows) > 0, err
}

// begun reports whether any partition has applied something.
func (s *Sink) begun(ctx context.Context, tx txn) (bool, error) {
	rows, err := tx.run(ctx, "MATCH (o:"+placeLabel+" {owner: $owner}) WHERE o.partition IS NOT NULL AND (o.next > 0 OR o.rebuild_end IS NOT NULL) RETURN 1 LIMIT 1",
		args{"owner": s.owner})
	return len(rows) > 0, err
}

// note writes a table's record.
func (s *Sink) note(ctx context.Context, tx txn, t *table, text string) error {
	_, err := tx.run(ctx, "MERGE (t:"+tableLabel+" {name: $name}) SET t += $fields", args{"name": s.recordName(t),
		"fields": args{"owner": s.owner, "flow": s.flow, "target": s.target, "declaration": text}})
	return err
}

func (s *Sink) records(ctx context.Context, tx txn) (map[string]record, error) {
	rows, err := tx.run(ctx, "MATCH (t:"+tableLabel+") RETURN t.name, t.owner, t.flow, t.target, t.declaration", nil)
	records := map[string]record{}
	for _, row := range rows {
		var text [5]string
		for i := range text {
			text[i], _ = row[i].(string)
		}
		records[text[0]] = record{text[1], text[2], text[3], text[4]}
	}
	return records, err
}

// leaveOut marks own tables that are no longer kept: taken up again, they would lack what happened meanwhile.
func (s *Sink) leaveOut(ctx context.Context, tx txn, records map[string]record) error {
	for _, t := range s.order {
		delete(records, s.recordName(t))
	}
	for name, r := range records {
		if r.owner != s.owner || r.declaration == unmade {
			continue
		}
		if _, err := tx.run(ctx, "MATCH (t:"+tableLabel+" {name: $name}) SET t.declaration = $unmade", args{"name": name, "unmade": unmade}); err != nil {
			return err
		}
	}
	return nil
}
