package feast

import (
	"context"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/rest"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const (
	configuring  = "configure target feast"
	defaultBooks = "freshet"
	defaultPages = 1024
)

// Sink keeps tables in Feast. It implements stream.Sink, stream.Reader, stream.Inspector and stream.Rounder.
type Sink struct {
	*guard.Sink
	store  *store
	tables map[string]*table // by their names in the flow
}

var (
	_ stream.Reader    = (*Sink)(nil)
	_ stream.Inspector = (*Sink)(nil)
	_ stream.Rounder   = (*Sink)(nil)
)

// ReadRows reads a table back; it connects if need be, and makes nothing. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, table string, each func(stream.RowWrite) error) error {
	if err := s.store.server.Connect(); err != nil {
		return err
	}
	return s.Sink.ReadRows(ctx, table, each)
}

// Round leaves out the columns that the table's view does not have. See stream.Rounder.
func (s *Sink) Round(table string, columns []stream.Value) ([]stream.Value, error) {
	t := s.tables[table]
	if t == nil {
		return nil, stream.Errorf(stream.Internal, "feast", "table %q is not one of this target's", table)
	}
	if len(t.kept) == len(t.Columns) {
		return columns, nil
	}
	held := make([]stream.Value, len(columns))
	for _, k := range t.kept {
		held[k.column] = columns[k.column]
	}
	return held, nil
}

// Spec declares the target "feast".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "feast",
		Doc:  "Online features in Feast, by the HTTP API of its feature server; rows are guarded by their versions, as far as Feast can.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true,
				Doc: "https://host:port of `feast serve`, or http:// without TLS, or a reference to such a URL; a path before the interface is kept."},
			{Name: "token", Kind: stream.SettingSecret, Doc: "Bearer token (`Authorization`), read again at each request."},
			trust.Setting(),
			{Name: "books", Kind: stream.SettingString, Default: stream.StringOf(defaultBooks),
				Doc: "Name of the feature view, and of its push source, that Freshet keeps its bookkeeping in."},
		},
		TableSettings: []stream.Setting{
			{Name: "view", Kind: stream.SettingString, Doc: "Name of the feature view, and of its push source; the table's own name when absent."},
			{Name: "entity", Kind: stream.SettingString,
				Doc: "Column of strings or ints that is the join key, different in each row; when absent, `_id` is one made of document and key."},
			{Name: "event_time", Kind: stream.SettingString, Doc: "Column of the time that a row is of; when absent, rows are of the time when they are written."},
			{Name: "columns", Kind: stream.SettingStrings, Doc: "Columns that are features; all when absent."},
			{Name: "pages", Kind: stream.SettingInt, Default: stream.IntOf(defaultPages), Min: 1, Max: 65536,
				Doc: "Pages that the list of the table's rows is kept in; best some dozens of rows in each."},
		},
		Guarantees: stream.Guarantees{Vectors: true},
		New:        New,
	}
}

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	books := c.Settings.String("books")
	if books == "" {
		books = defaultBooks
	}
	s := &store{server: rest.Server{Target: "feast", URL: c.Settings.Secret("url"), CA: c.Settings.Path("ca"),
		Form: "https://host:port without a user; a token has a setting of its own", Idle: 3 * time.Second},
		token: c.Settings.Secret("token"), books: newBooks(books), tables: map[string]*table{},
		walks: map[walked]int{}}
	if s.server.URL.IsZero() {
		return nil, stream.Errorf(stream.Usage, configuring, "setting url is missing")
	}
	sink := &Sink{store: s, tables: map[string]*table{}}
	kept := make([]guard.Table, len(c.Tables))
	for i, declared := range c.Tables {
		t, err := newTable(books, declared)
		if err != nil {
			return nil, err
		}
		kept[i] = t.Table
		s.tables[t.As], sink.tables[t.Name] = t, t
	}
	var err error
	if sink.Sink, err = guard.New(s, kept, guard.Options{}); err != nil {
		return nil, err
	}
	return sink, nil
}
