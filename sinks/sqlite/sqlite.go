// Package sqlite keeps tables in step in one SQLite file: an embedded index that any SQLite tool reads while it is kept
// fresh, with nearest-neighbour search by sqlite-vec.
//
// Invariants upheld (DESIGN.md, section 3): rows and the next offset move in one transaction (1, 5); a write whose
// version is below the one held has no effect (3); each write checks its partition's epoch in its own transaction (4).
// One process owns the file: a second one is refused before it writes anything.
package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// Spec declares the sink to a registry.
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "sqlite",
		Doc: "Keeps tables in one SQLite file, rows and offset in one transaction. Other programs may read the file " +
			"while it is kept fresh; vector columns are searched with sqlite-vec.",
		Settings: []stream.Setting{{Name: "path", Kind: stream.SettingString, Required: true,
			Doc: "The database file, relative to the flow file; it and its folder are created when absent."}},
		TableSettings: []stream.Setting{{Name: "table", Kind: stream.SettingString,
			Doc: "Name of the table in the database; by default the table's own name."}},
		Guarantees: stream.Guarantees{Transactional: true, AtomicDocuments: true, Vectors: true, Deletes: true, Fronts: true},
		New:        newSink,
	}
}

// Sink writes one SQLite file. Calls for different partitions may come concurrently; they take turns at the one writing
// connection, while reads go on beside them.
type Sink struct {
	path         string
	tables       []*table
	flow, target string

	release func() // gives up the ownership of the file
	write   *writer
	read    *sql.DB

	mu     sync.Mutex
	epochs map[int32]int64 // by partition: the fence that Assign took
}

var (
	_ stream.Sink     = (*Sink)(nil)
	_ stream.Reader   = (*Sink)(nil)
	_ stream.Searcher = (*Sink)(nil)

	_ stream.Inspector = (*Sink)(nil)
	_ stream.Rounder   = (*Sink)(nil)
)

func newSink(c stream.SinkConfig) (stream.Sink, error) {
	path, err := databasePath(c.Settings)
	if err != nil {
		return nil, err
	}
	tables, err := newTables(c.Tables)
	if err != nil {
		return nil, err
	}
	return &Sink{path: path, tables: tables, epochs: map[int32]int64{}}, nil
}

// Open takes the ownership of the file, connects, and checks or creates the tables. See stream.Sink.
func (s *Sink) Open(ctx context.Context, flow, target string) ([]string, error) {
	s.flow, s.target = flow, target
	if s.write == nil {
		if err := s.connect(ctx); err != nil {
			_ = s.Close()
			return nil, classed(s.op("open"), s.path, err)
		}
	}
	changed, err := s.checkTables(ctx)
	if err != nil {
		return nil, classed(s.op("open"), s.path, err)
	}
	return changed, nil
}

func (s *Sink) connect(ctx context.Context) (err error) {
	if s.release, err = own(s.path); err != nil {
		return err
	}
	if s.write, err = openWriter(ctx, s.path); err != nil {
		return err
	}
	s.read, err = openReaders(s.path)
	return err
}

// Close ends the connections and gives up the ownership of the file. Repeatable.
func (s *Sink) Close() error {
	var err error
	if s.read != nil {
		err = s.read.Close()
	}
	if s.write != nil {
		if e := s.write.close(); err == nil {
			err = e
		}
	}
	if s.release != nil {
		s.release()
	}
	s.read, s.write, s.release = nil, nil, nil
	return classed(s.op("close"), s.path, err)
}

// op says what is being done, for errors.
func (s *Sink) op(doing string) string { return doing + " target " + s.target }

// transact runs f in one transaction and classes its error.
func (s *Sink) transact(ctx context.Context, doing string, f func(*txn) error) error {
	if s.write == nil {
		return stream.Errorf(stream.Internal, s.op(doing), "the sink is not open")
	}
	return classed(s.op(doing), s.path, s.write.transact(ctx, f))
}

func (s *Sink) table(name string) *table {
	for _, t := range s.tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}
