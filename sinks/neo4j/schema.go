package neo4j

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// rule is a constraint or an index of ours, by its name.
type rule struct {
	name, create string
	constraint   bool
}

// Bookkeeping. A pattern over several properties is found by an index only when the index begins with what is given.
var bookkeeping = []rule{
	distinct(placeLabel, "owner", "partition"),
	distinct(tableLabel, "name"),
	distinct(lockLabel, "name"),
	distinct(rowLabel, "table", "document", "key"),
	distinct(stageLabel, "stage", "table", "document", "key"),
	index(rowLabel, "table", "key"),
	index(rowLabel, "begins"),
	index(rowLabel, "ends"),
	index(stageLabel, "stage"),
}

// oneFront is among the bookkeeping of targets with tables that roll out.
var oneFront = distinct(frontLabel, "name")

func distinct(label string, properties ...string) rule {
	name := label + "_is_unique"
	return constraint(name, label, properties)
}

func constraint(name, label string, properties []string) rule {
	return rule{name, "CREATE CONSTRAINT " + name + " IF NOT EXISTS FOR (n:" + quote(label) + ") REQUIRE (" + listed(properties) + ") IS UNIQUE", true}
}

func index(label string, properties ...string) rule {
	name := label + "_by_" + strings.Join(properties, "_")
	return rule{name, "CREATE INDEX " + name + " IF NOT EXISTS FOR (n:" + quote(label) + ") ON (" + listed(properties) + ")", false}
}

func listed(properties []string) string {
	out := make([]string, len(properties))
	for i, p := range properties {
		out[i] = "n." + quote(p)
	}
	return strings.Join(out, ", ")
}

// rules are what a table of nodes needs: its constraint first, then its vector indexes.
func (t *table) rules() []rule {
	if t.edge != nil {
		return nil
	}
	identity := []string{documentKey, keyKey}
	if t.shared() {
		identity = identity[1:]
	}
	all := []rule{constraint(ownPrefix+"node_"+fingerprint(append([]string{t.label}, identity...)...), t.label, identity)}
	for i, name := range t.names {
		if name == "" {
			continue
		}
		c := t.decl.Columns[i]
		all = append(all, rule{name, fmt.Sprintf("CREATE VECTOR INDEX %s IF NOT EXISTS FOR (n:%s) ON (n.%s) OPTIONS {indexConfig: {`vector.dimensions`: %d, "+
			"`vector.similarity_function`: 'cosine'}}", quote(name), quote(t.label), quote(c.Name), c.Type.Dims), false})
	}
	return all
}

// catalog is what the database has: the labels of constraints, by name, and the names of all indexes.
type catalog struct {
	constraints map[string]string
	indexes     map[string]bool
}

func (s *Sink) catalog(ctx context.Context) (c catalog, err error) {
	c = catalog{map[string]string{}, map[string]bool{}}
	rows, err := s.query(ctx, "SHOW CONSTRAINTS YIELD name, entityType, labelsOrTypes RETURN name, entityType, labelsOrTypes", nil)
	if err != nil {
		return c, err
	}
	for _, row := range rows {
		name, _ := row[0].(string)
		labels, _ := row[2].([]any)
		if row[1] == "NODE" && len(labels) == 1 {
			c.constraints[name], _ = labels[0].(string)
		}
	}
	rows, err = s.query(ctx, "SHOW INDEXES YIELD name RETURN name", nil)
	for _, row := range rows {
		name, _ := row[0].(string)
		c.indexes[name] = true // of a constraint, too
	}
	return c, err
}

// ensure makes the rules that the catalog lacks, and waits until what was made is of use. A server that is killed, or loses its client, while it makes a
// constraint leaves an index of that name, which stops the constraint from being made and is of no use without it.
func (s *Sink) ensure(ctx context.Context, c catalog, rules []rule) error {
	var made []string // indexes; a constraint is of use at once
	for _, r := range rules {
		if c.holds(r) {
			continue
		}
		if r.constraint && c.indexes[r.name] {
			if _, err := s.query(ctx, "DROP INDEX "+r.name+" IF EXISTS", nil); err != nil {
				return err
			}
		}
		if _, err := s.query(ctx, r.create, nil); err != nil {
			return err
		}
		if !r.constraint {
			made = append(made, r.name)
		}
	}
	for _, name := range made {
		if _, err := s.query(ctx, "CALL db.awaitIndex($name, 3600)", args{"name": name}); err != nil {
			return err
		}
	}
	return nil
}

// holds reports whether a rule is there.
func (c catalog) holds(r rule) bool {
	if r.constraint {
		_, there := c.constraints[r.name]
		return there
	}
	return c.indexes[r.name]
}

// has reports whether a table's constraint is there; tables of relationships have none.
func (c catalog) has(t *table) bool {
	rules := t.rules()
	return len(rules) == 0 || c.holds(rules[0])
}

// foreign names the constraints over a table's label that are not ours: they may refuse what the flow writes.
func (c catalog) foreign(t *table) []string {
	var names []string
	for name, label := range c.constraints {
		if label == t.label && t.edge == nil && c.isForeign(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c catalog) isForeign(name string) bool { return !strings.HasPrefix(name, ownPrefix) }
