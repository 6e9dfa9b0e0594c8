package qdrant

import (
	"context"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const configuring = "configure target qdrant"

// Sink keeps tables in Qdrant. It implements stream.Sink, stream.Searcher and stream.Reader.
type Sink struct {
	*guard.Sink
	store  *store
	target string // set by Open
}

// ReadRows reads a table back; it connects if need be, and makes nothing. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, table string, each func(stream.RowWrite) error) error {
	if err := s.store.connect(); err != nil {
		return err
	}
	return s.Sink.ReadRows(ctx, table, each)
}

// Open connects and makes what is absent. See stream.Sink.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.target = target
	return s.Sink.Open(ctx, flow, target)
}

// Spec declares the target "qdrant".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "qdrant",
		Doc:  "Collections in Qdrant 1.16 or later, by its gRPC interface; rows are guarded by their versions.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true,
				Doc: "http://host:6334, or https:// for TLS, or a reference to such a URL; the port is that of gRPC."},
			{Name: "api_key", Kind: stream.SettingSecret, Doc: "API key, read again at each request."},
			trust.Setting(),
			{Name: "prefix", Kind: stream.SettingString, Doc: "Put before the name of every collection."},
		},
		TableSettings: []stream.Setting{
			{Name: "table", Kind: stream.SettingString, Doc: "Name of the collection; the table's own name when absent."},
			{Name: "distance", Kind: stream.SettingString, Enum: []string{"cosine", "dot", "euclid", "manhattan"},
				Default: stream.StringOf("cosine"), Doc: "How vectors of the table are compared."},
			{Name: "hnsw_m", Kind: stream.SettingInt, Min: 1, Max: 512, Doc: "Edges of each node of the HNSW index; the server's default when absent."},
			{Name: "hnsw_ef_construct", Kind: stream.SettingInt, Min: 4, Max: 10_000,
				Doc: "Neighbours considered while the HNSW index is built; the server's default when absent."},
			{Name: "quantization", Kind: stream.SettingString, Enum: []string{"none", "scalar", "binary"},
				Default: stream.StringOf("none"), Doc: "How vectors are compressed for searches; the originals stay."},
			{Name: "indexes", Kind: stream.SettingStrings,
				Doc: "Columns that get a payload index, to be filtered by: bool, int, double, string or timestamp."},
		},
		Guarantees: stream.Guarantees{Vectors: true, Deletes: true, Fronts: true},
		New:        New,
	}
}

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &store{url: c.Settings.Secret("url"), key: c.Settings.Secret("api_key"), ca: c.Settings.Path("ca"),
		prefix: c.Settings.String("prefix"), tables: map[string]*table{}}
	if s.url.IsZero() {
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
	// 256 rows a request at most, and 4 MiB: a server takes 32 MiB.
	g, err := guard.New(s, kept, guard.Options{ByBatch: true, Chunk: 256})
	if err != nil {
		return nil, err
	}
	return &Sink{Sink: g, store: s}, nil
}
