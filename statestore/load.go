package statestore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/freshet-dev/freshet/stream"
)

// loadTable is the size of memtables and tables while a store is loaded; loadTables of them may lie in the first level
// before they are merged.
//
// A value above loadValue goes to the value log: it is copied half as often. Its space comes back when half of the log is
// dead and the store is opened; what is written later lies in the tree again.
const (
	loadTable  = 16 << 20
	loadTables = 10
	loadValue  = 1 << 10
)

// Load readies an empty store for a whole state that is written in bulk: until Loaded, Apply leaves out the checkpoint and
// waits for no disk, which is several times as fast. A store whose load did not reach Loaded is empty when it is opened
// next. Nobody but its owner may use the store meanwhile.
func (s *Store) Load() error {
	op := "load state directory " + s.dir
	if _, marked, err := s.Checkpoint(); err != nil || marked {
		return errors.Join(err, stream.Errorf(stream.Internal, op, "it is not empty"))
	}
	if err := writeFile(filepath.Join(s.dir, loadingFile), nil); err != nil {
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	o := s.options
	o.SyncWrites = false
	o.ValueThreshold = loadValue
	o.MemTableSize, o.BaseTableSize = loadTable, loadTable
	o.NumLevelZeroTables, o.NumLevelZeroTablesStall = loadTables, loadTables+moreTables
	if err := s.reopen(o); err != nil {
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	s.loading = true
	return nil
}

// Loaded makes all that was applied since Load durable, with the checkpoint.
func (s *Store) Loaded(c Checkpoint) error {
	op := "load state directory " + s.dir
	if err := s.reopen(s.options); err != nil { // closing writes and syncs all that is in memory
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	s.loading = false
	if err := errors.Join(s.syncNames(), s.Apply(nil, c)); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(filepath.Join(s.dir, loadingFile)), syncDir(s.dir)); err != nil {
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	return nil
}

func (s *Store) reopen(o badger.Options) error {
	if err := s.db.Close(); err != nil {
		return err
	}
	db, err := badger.Open(o)
	if err == nil {
		s.db = db
	}
	return err
}

// bulk writes entries, in order, without waiting for the disk.
func (s *Store) bulk(entries []Entry) error {
	b := s.db.NewWriteBatch()
	defer b.Cancel()
	size := loadTable // since lowKey
	for _, e := range entries {
		err := error(nil)
		if size += len(e.Key) + len(e.Value); size > loadTable/64 { // the batch is cut into transactions, and a table holds several of these
			size, err = 0, b.Set(lowKey, nil)
		}
		if err != nil {
			return err
		}
		if e.Value == nil {
			err = b.Delete(e.Key)
		} else {
			err = b.Set(e.Key, e.Value)
		}
		if err != nil {
			return err
		}
	}
	return b.Flush()
}

// dropLoading empties a store whose load was cut short: what of it is on the disk is not known.
func dropLoading(dir string) error {
	marker := filepath.Join(dir, loadingFile)
	if _, err := os.Stat(marker); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(filepath.Join(dir, dataDir)), syncDir(dir), os.Remove(marker), syncDir(dir))
}
