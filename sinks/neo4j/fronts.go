package neo4j

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

var _ stream.Fronter = (*Sink)(nil)

// Show implements stream.Fronter: a front is a node that names the edition, a pointer that readers look up, since Neo4j shows them other commits piece
// by piece. Its number is all that changes: one property, of one size, so readers find the one or the other.
func (s *Sink) Show(ctx context.Context, tables []string) error {
	var order []*table
	for _, name := range tables {
		t := s.tables[name]
		if t == nil || t.edition == 0 {
			return stream.Errorf(stream.Internal, s.op("show a table of"), "table %q is not shown by a front", name)
		}
		order = append(order, t)
	}
	slices.SortFunc(order, func(a, b *table) int { return cmp.Compare(a.front, b.front) }) // so that twins wait for each other
	return s.classed(s.op("show tables of"), s.transact(ctx, stepLimit, func(tx txn) error {
		for _, t := range order {
			if err := s.show(ctx, tx, t); err != nil {
				return err
			}
		}
		return nil
	}))
}

func (s *Sink) show(ctx context.Context, tx txn, t *table) error {
	held, err := s.takeFront(ctx, tx, t.front)
	if err != nil {
		return err
	}
	if held.owner == s.owner && held.edition == 0 { // it came to be just now
		records, err := s.records(ctx, tx)
		if err != nil {
			return err
		}
		there, err := s.anyNode(ctx, tx, t.front)
		if err != nil {
			return err
		}
		if _, kept := records[nodeRecord+t.front]; kept || there {
			held.owner = ""
		}
	}
	if held.owner != s.owner {
		return stream.Errorf(stream.Usage, s.op("show a table of"), "the label %q is used already, and not by this flow; delete its nodes, or set `node` of %s to another",
			t.front, t.decl.Name)
	}
	_, err = tx.run(ctx, "MATCH (f:"+frontLabel+" {name: $name}) SET f.edition = $edition", args{"name": t.front, "edition": t.edition})
	return err
}

// heldFront is a front as the database has it; the zero value is none.
type heldFront struct {
	owner, flow, target string
	edition             int64
}

const returnFront = " RETURN f.owner, f.flow, f.target, f.edition"

// takeFront locks a front to the end of the transaction, and makes it ours when it is absent.
func (s *Sink) takeFront(ctx context.Context, tx txn, name string) (heldFront, error) {
	rows, err := tx.run(ctx, "MERGE (f:"+frontLabel+" {name: $name}) ON CREATE SET f += $fresh SET f.locked = true WITH f"+returnFront,
		args{"name": name, "fresh": args{"owner": s.owner, "flow": s.flow, "target": s.target, "edition": 0}})
	return scanFront(rows), err
}

func (s *Sink) frontOf(ctx context.Context, tx txn, name string) (heldFront, error) {
	rows, err := tx.run(ctx, "MATCH (f:"+frontLabel+" {name: $name})"+returnFront, args{"name": name})
	return scanFront(rows), err
}

func scanFront(rows [][]any) (f heldFront) {
	if len(rows) > 0 {
		f.owner, _ = rows[0][0].(string)
		f.flow, _ = rows[0][1].(string)
		f.target, _ = rows[0][2].(string)
		f.edition, _ = rows[0][3].(int64)
	}
	return f
}

// Shown implements stream.Fronter.
func (s *Sink) Shown(ctx context.Context) (map[string]string, error) {
	shown := map[string]string{}
	err := s.transact(ctx, stepLimit, func(tx txn) error {
		for _, t := range s.order {
			if t.front == "" {
				continue
			}
			f, err := s.frontOf(ctx, tx, t.front)
			if err != nil {
				return err
			}
			if f.owner == s.owner && f.edition == t.edition {
				shown[t.front] = t.decl.Name
			}
		}
		return nil
	})
	return shown, s.classed(s.op("look at the fronts of"), err)
}

// Retire implements stream.Fronter.
func (s *Sink) Retire(ctx context.Context) error {
	retired, err := s.retired(ctx)
	for _, label := range retired {
		if err == nil {
			err = s.emptyRetired(ctx, label)
		}
	}
	if err == nil && len(retired) > 0 {
		err = s.alone(ctx, longLimit, func() error { return s.forgetRetired(ctx) })
	}
	return s.classed(s.op("drop tables of"), err)
}

// retired are the labels of editions that are declared no more.
func (s *Sink) retired(ctx context.Context) (labels []string, err error) {
	err = s.transact(ctx, stepLimit, func(tx txn) error {
		labels = nil
		records, err := s.records(ctx, tx)
		for name, r := range records {
			label, isNode := strings.CutPrefix(name, nodeRecord)
			if isNode && r.owner == s.owner && r.declaration == unmade && s.wasEdition(label) {
				labels = append(labels, label)
			}
		}
		return err
	})
	return labels, err
}

// emptyRetired deletes an edition's nodes in pieces, each as long as a twin has not made the table again: nobody waits for all of them to go.
func (s *Sink) emptyRetired(ctx context.Context, label string) error {
	return s.repeat(ctx, "MATCH (t:"+tableLabel+" {name: $name}) SET t.locked = true WITH t WHERE t.declaration = $unmade MATCH (n:"+quote(label)+
		") WHERE n."+keyKey+" IS NOT NULL WITH n LIMIT $piece DETACH DELETE n RETURN count(*)", args{"name": nodeRecord + label, "unmade": unmade, "piece": 5000})
}

// forgetRetired drops the rules and then the records of editions that were emptied, while no twin makes any again. After a crash in between it is
// done again.
func (s *Sink) forgetRetired(ctx context.Context) error {
	c, err := s.catalog(ctx)
	if err != nil {
		return err
	}
	labels, err := s.retired(ctx)
	for _, label := range labels {
		if err == nil {
			err = s.emptyRetired(ctx, label)
		}
		if err == nil {
			err = s.dropRules(ctx, &table{label: label}, c)
		}
		if err == nil {
			_, err = s.query(ctx, "MATCH (t:"+tableLabel+" {name: $name}) DELETE t", args{"name": nodeRecord + label})
		}
	}
	return err
}

// wasEdition reports whether a label was that of an edition that a front of a declared table showed, or was to show.
func (s *Sink) wasEdition(label string) bool {
	return slices.ContainsFunc(s.order, func(t *table) bool {
		return t.front != "" && t.label != label && stream.IsEditionOf(label, t.front)
	})
}

// rollsOut reports whether tables of the target do.
func (s *Sink) rollsOut() bool {
	return slices.ContainsFunc(s.order, func(t *table) bool { return t.front != "" })
}
