package lancedb

import (
	"context"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/rest"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const configuring = "configure target lancedb"

// Sink keeps tables in LanceDB. It implements stream.Sink, stream.Searcher, stream.Reader, stream.Inspector and stream.Fronter.
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

// Spec declares the target "lancedb".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "lancedb",
		Doc:  "Tables in LanceDB, vectors as fixed-size lists, by Lance's REST namespace protocol; rows are guarded by their versions.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true,
				Doc: "https://host:port, or http:// without TLS, or a reference to such a URL; a path before the interface is kept."},
			{Name: "api_key", Kind: stream.SettingSecret, Doc: "API key (`x-api-key`), read again at each request."},
			{Name: "token", Kind: stream.SettingSecret, Doc: "Bearer token (`Authorization`), read again at each request."},
			trust.Setting(),
			{Name: "database", Kind: stream.SettingString, Doc: "Name of the database (`x-lancedb-database`), for servers that have several."},
			{Name: "namespace", Kind: stream.SettingStrings, Doc: "Path of the namespace that the tables lie in, made when it is absent; the root when absent."},
		},
		TableSettings: []stream.Setting{
			{Name: "table", Kind: stream.SettingString, Doc: "Name of the table in the namespace; the table's own name when absent."},
		},
		Guarantees: stream.Guarantees{Vectors: true, Deletes: true, Fronts: true},
		New:        New,
	}
}

// A request has to fit into what servers take, 2 MB where nobody raised it. Each is a commit, whose cost grows with the number of those before
// it, so it holds as many rows as a batch may.
const rowsInRequest, bytesInRequest = 5000, 1 << 20

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &store{server: rest.Server{Target: "lancedb", URL: c.Settings.Secret("url"), CA: c.Settings.Path("ca"),
		Form: "https://host:port without a user; credentials have settings of their own"},
		key: c.Settings.Secret("api_key"), token: c.Settings.Secret("token"),
		database: c.Settings.String("database"), namespace: c.Settings.Strings("namespace"), tables: map[string]*table{}, books: newBooks()}
	if s.server.URL.IsZero() {
		return nil, stream.Errorf(stream.Usage, configuring, "setting url is missing")
	}
	for _, part := range s.namespace {
		if part == "" || escaped(part) != part {
			return nil, stream.Errorf(stream.Usage, configuring, "setting namespace: %q is no name of a namespace; use letters, digits, _ and -", part)
		}
	}
	kept := make([]guard.Table, len(c.Tables))
	for i, declared := range c.Tables {
		t, err := newTable(declared)
		if err != nil {
			return nil, err
		}
		kept[i] = t.Table
		s.tables[t.As] = t
		if t.Front != "" && s.fronts == nil {
			s.fronts = newFronts()
		}
	}
	g, err := guard.New(s, kept, guard.Options{Chunk: rowsInRequest, ChunkBytes: bytesInRequest})
	if err != nil {
		return nil, err
	}
	return &Sink{Sink: g, store: s}, nil
}
