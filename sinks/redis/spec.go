package redis

import (
	"context"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const (
	configuring   = "configure target redis"
	defaultPrefix = "freshet"
)

// Sink keeps tables in Redis. It implements stream.Sink, stream.Reader and stream.Inspector.
type Sink struct {
	*guard.Sink
	store *store
}

var (
	_ stream.Reader    = (*Sink)(nil)
	_ stream.Inspector = (*Sink)(nil)
)

// Assign makes sure that the server still keeps what is written to it, and takes the partition. See stream.Sink.
func (s *Sink) Assign(ctx context.Context, partition int32, origin stream.Origin) (stream.Applied, error) {
	if err := s.store.check(ctx); err != nil {
		return stream.Applied{}, err
	}
	return s.Sink.Assign(ctx, partition, origin)
}

// ReadRows reads a table back; it connects if need be, and makes nothing. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, table string, each func(stream.RowWrite) error) error {
	if err := s.store.connect(); err != nil {
		return err
	}
	return s.Sink.ReadRows(ctx, table, each)
}

// Spec declares the target "redis".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "redis",
		Doc:  "Hashes in Redis 7 or later, or Valkey, for look-ups of one row; rows are guarded by their versions and a fence.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true,
				Doc: "redis://user@host:6379/0, or rediss:// for TLS, or a reference to such a URL; a reference's may hold the password."},
			{Name: "username", Kind: stream.SettingSecret, Doc: "User, read again at each connection; the URL's when absent."},
			{Name: "password", Kind: stream.SettingSecret, Doc: "Password, read again at each connection; the URL's when absent."},
			trust.Setting(),
			{Name: "prefix", Kind: stream.SettingString, Default: stream.StringOf(defaultPrefix), Doc: "First part of the name of every key, without a colon."},
		},
		TableSettings: []stream.Setting{
			{Name: "table", Kind: stream.SettingString, Doc: "Second part of the names of its keys; the table's own name when absent."},
		},
		Guarantees: stream.Guarantees{Vectors: true, Deletes: true},
		New:        New,
	}
}

// New checks names and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &store{url: c.Settings.Secret("url"), username: c.Settings.Secret("username"), password: c.Settings.Secret("password"),
		ca: c.Settings.Path("ca"), prefix: c.Settings.String("prefix"), tables: map[string]*table{}, walks: map[walked]uint64{}}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	switch {
	case s.url.IsZero():
		return nil, stream.Errorf(stream.Usage, configuring, "setting url is missing")
	case strings.Contains(s.prefix, ":"):
		return nil, stream.Errorf(stream.Usage, configuring, "setting prefix: %q holds a colon, which parts the names of keys; choose another, such as %q",
			s.prefix, strings.ReplaceAll(s.prefix, ":", "."))
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
