package opensearch

import (
	"context"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/rest"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const configuring = "configure target opensearch"

// Sink keeps tables in OpenSearch. It implements stream.Sink, stream.Searcher, stream.Reader, stream.Inspector and
// stream.Fronter.
type Sink struct {
	*guard.Sink
	store  *store
	target string // set by Open
}

var (
	_ stream.Searcher  = (*Sink)(nil)
	_ stream.Reader    = (*Sink)(nil)
	_ stream.Inspector = (*Sink)(nil)
	_ stream.Fronter   = (*Sink)(nil)
)

// ReadRows reads a table back; it connects if need be, and makes nothing. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, table string, each func(stream.RowWrite) error) error {
	if err := s.store.server.Connect(); err != nil {
		return err
	}
	return s.Sink.ReadRows(ctx, table, each)
}

// Open connects and makes what is absent. See stream.Sink.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.target = target
	return s.Sink.Open(ctx, flow, target)
}

// Spec declares the target "opensearch".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "opensearch",
		Doc:  "Indexes in OpenSearch 2.9 or later, text and vectors, each behind an alias; rows are guarded by their versions.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true,
				Doc: "https://host:9200, or http:// without TLS, or a reference to such a URL; a path before the interface is kept."},
			{Name: "username", Kind: stream.SettingSecret, Doc: "User, read again at each request."},
			{Name: "password", Kind: stream.SettingSecret, Doc: "Password, read again at each request."},
			trust.Setting(),
			{Name: "prefix", Kind: stream.SettingString, Doc: "Put before the name of every index and alias."},
		},
		TableSettings: []stream.Setting{
			{Name: "table", Kind: stream.SettingString, Doc: "Name of the alias that readers use; the table's own name when absent."},
			{Name: "shards", Kind: stream.SettingInt, Min: 1, Max: 1024, Doc: "Primary shards; the server's default when absent."},
			{Name: "replicas", Kind: stream.SettingInt, Max: 20, Default: stream.IntOf(1), Doc: "Copies of each shard beside the primary."},
			{Name: "keywords", Kind: stream.SettingStrings,
				Doc: "String columns that are one term each, to filter and sort by; the others are analysed as text, with the first 256 characters as `<column>.keyword` beside it."},
			{Name: "analyzer", Kind: stream.SettingString, Doc: "How text is made into terms, such as `english`; the server's default when absent."},
			{Name: "space_type", Kind: stream.SettingString, Enum: []string{"cosinesimil", "l2", "innerproduct"},
				Default: stream.StringOf("cosinesimil"), Doc: "How vectors of the table are compared."},
			{Name: "hnsw_m", Kind: stream.SettingInt, Min: 2, Max: 100, Doc: "Edges of each node of the HNSW index; the plugin's default when absent."},
			{Name: "hnsw_ef_construction", Kind: stream.SettingInt, Min: 2, Max: 10_000,
				Doc: "Neighbours considered while the HNSW index is built; the plugin's default when absent."},
		},
		Guarantees: stream.Guarantees{Vectors: true, Deletes: true, Fronts: true},
		New:        New,
	}
}

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &store{server: rest.Server{Target: "opensearch", URL: c.Settings.Secret("url"), CA: c.Settings.Path("ca"),
		Form: "https://host:9200 without a user, who has settings of his own"},
		username: c.Settings.Secret("username"), password: c.Settings.Secret("password"),
		prefix: escaped(c.Settings.String("prefix")), tables: map[string]*table{}}
	if s.server.URL.IsZero() {
		return nil, stream.Errorf(stream.Usage, configuring, "setting url is missing")
	}
	kept := make([]guard.Table, len(c.Tables))
	for i, declared := range c.Tables {
		t, err := newTable(s.prefix, declared)
		if err != nil {
			return nil, err
		}
		kept[i] = t.Table
		s.tables[t.As] = t
	}
	g, err := guard.New(s, kept, guard.Options{})
	if err != nil {
		return nil, err
	}
	return &Sink{Sink: g, store: s}, nil
}
