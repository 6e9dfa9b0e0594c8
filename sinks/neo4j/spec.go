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
		Guarantees: stream.Guarantees{Transactional: true, Vectors: true, Deletes: true, Merges: true},
		New:        New,
	}
}

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &Sink{url: c.Settings.Secret("url"), username: c.Settings.Secret("username"), password: c.Settings.Secret("password"),
		ca: c.Settings.Path("ca"), database: c.Settings.String("database"), tables: map[string]*table{}}
	if s.url.IsZero() {
		return nil, stream.Errorf(stream.Usage, configuring, "setting url is missing")
	}
	labels := map[string]*table{}
	for _, declared := range c.Tables {
		t, err := newTable(declared)
		if err != nil {
			return nil, err
		}
		if other := labels[t.label]; t.edge == nil && other != nil {
			return nil, stream.Errorf(stream.Usage, configuring,
				"tables %s and %s would both be nodes with the label %q; give one of them another by its setting `node`", other.decl.Name, t.decl.Name, t.label)
		}
		if t.edge == nil {
			labels[t.label] = t
		}
		s.tables[t.decl.Name] = t
		s.order = append(s.order, t)
	}
	for _, t := range s.order {
		if err := t.resolve(labels); err != nil {
			return nil, err
		}
		s.derives = s.derives || t.derived()
	}
	return s, nil
}
