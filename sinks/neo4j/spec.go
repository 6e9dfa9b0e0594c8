package neo4j

import (
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// Spec declares the target "neo4j".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "neo4j",
		Doc: "Nodes and relationships in Neo4j 5 (5.13 or later), with vector indexes; rows and offset in one transaction. " +
			"Rows of a table that is `shared` are merged. Neo4j's readers may see a part of a transaction while it commits.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true,
				Doc: "bolt://host:7687 or neo4j://host:7687, bolt+s:// or neo4j+s:// for TLS, or a reference to such a URL; a reference's may hold user and password."},
			{Name: "username", Kind: stream.SettingSecret, Doc: "User, read again at each connection; the URL's when absent."},
			{Name: "password", Kind: stream.SettingSecret, Doc: "Password, read again at each connection; the URL's when absent."},
			trust.Setting(),
			{Name: "database", Kind: stream.SettingString, Doc: "Name of the database; the user's home database when absent."},
		},
		TableSettings: []stream.Setting{
			{Name: "node", Kind: stream.SettingString, Doc: "Label of the nodes that the rows are; the table's own name when absent."},
			{Name: "edge", Kind: stream.SettingString, Doc: "Makes the rows relationships: their type, or the column that holds it."},
			{Name: "from", Kind: stream.SettingStrings, Doc: "With `edge`, where a relationship begins: the label of a node table, and the column that names a node of it."},
			{Name: "to", Kind: stream.SettingStrings, Doc: "With `edge`, where it ends, in the same way."},
		},
		Naming:     "node",
		Guarantees: stream.Guarantees{Transactional: true, Vectors: true, Deletes: true, Merges: true, Fronts: true},
		New:        New,
		Check: func(tables []stream.TargetTable) error {
			_, err := newTables(tables)
			return err
		},
	}
}

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &Sink{url: c.Settings.Secret("url"), username: c.Settings.Secret("username"), password: c.Settings.Secret("password"),
		ca: c.Settings.Path("ca"), database: c.Settings.String("database"), tables: map[string]*table{}}
	if s.url.IsZero() {
		return nil, stream.Errorf(stream.Usage, configuring, "setting url is missing")
	}
	var err error
	if s.order, err = newTables(c.Tables); err != nil {
		return nil, err
	}
	for _, t := range s.order {
		s.tables[t.decl.Name] = t
		s.derives = s.derives || t.derived()
	}
	return s, nil
}

// newTables are the tables of a target, each resolved.
func newTables(declared []stream.TargetTable) ([]*table, error) {
	var order []*table
	labels, fronts := map[string]*table{}, map[string]bool{}
	for _, d := range declared {
		t, err := newTable(d)
		if err != nil {
			return nil, err
		}
		order = append(order, t)
		if t.edge != nil {
			continue
		}
		if other := labels[t.label]; other != nil {
			return nil, sameLabel(other, t, t.label)
		}
		labels[t.label] = t
		if t.front != "" {
			fronts[t.front] = true
		}
	}
	for _, t := range order {
		if other := labels[t.front]; other != nil && other.front != t.front {
			return nil, sameLabel(other, t, t.front)
		}
		if err := t.resolve(labels, fronts); err != nil {
			return nil, err
		}
	}
	return order, nil
}

func sameLabel(a, b *table, label string) error {
	return stream.Errorf(stream.Usage, configuring, "tables %s and %s would both be nodes with the label %q; give one of them another by its setting `node`",
		a.decl.Name, b.decl.Name, label)
}
