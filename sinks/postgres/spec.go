package postgres

import (
	"github.com/freshet-dev/freshet/stream"
)

const defaultSchema = "public"

// Spec declares the target "postgres".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "postgres",
		Doc:  "Tables in a Postgres schema, vectors by pgvector; rows and offset in one transaction.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true,
				Doc: "postgres://user@host:5432/database, or a reference to such a URL; a reference's may hold the password."},
			{Name: "schema", Kind: stream.SettingString, Default: stream.StringOf(defaultSchema),
				Doc: "Schema that the tables lie in; created when it is absent."},
		},
		TableSettings: []stream.Setting{
			{Name: "table", Kind: stream.SettingString, Doc: "Name of the table in the database; the table's own name when absent."},
			{Name: "hnsw", Kind: stream.SettingStrings,
				Doc: "Vector columns that get an HNSW index for cosine distance once the first load is over (f32 up to 2000 dimensions, f16 up to 4000)."},
		},
		Guarantees: stream.Guarantees{Transactional: true, AtomicDocuments: true, Vectors: true, Deletes: true, Fronts: true},
		New:        New,
	}
}

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &Sink{url: c.Settings.Secret("url"), schema: c.Settings.String("schema"), tables: map[string]*table{}}
	if s.schema == "" {
		s.schema = defaultSchema
	}
	if s.url.IsZero() {
		return nil, stream.Errorf(stream.Usage, "configure target postgres", "setting url is missing")
	}
	if err := checkName("schema", s.schema); err != nil {
		return nil, err
	}
	taken := map[string]string{}
	for _, declared := range c.Tables {
		t, err := newTable(s.schema, declared)
		if err != nil {
			return nil, err
		}
		if other, found := taken[t.name]; found {
			return nil, stream.Errorf(stream.Usage, "configure target postgres",
				"tables %s and %s would both be kept in %q; give one of them another name by its setting `table`", other, t.decl.Name, t.name)
		}
		taken[t.name] = t.decl.Name
		s.tables[t.decl.Name] = t
		s.order = append(s.order, t)
	}
	return s, nil
}
