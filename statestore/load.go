package statestore

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/ristretto/v2/z"

	"github.com/freshet-dev/freshet/stream"
)

// A value of loadValue or more bytes goes to a value log as it comes, and is written once. Its space comes back when half of
// the log is dead and the store is opened; what is written later lies in the tree again.
//
// All else is sorted, loadRun bytes at a time, and each such run becomes tables of a level of their own: nothing is merged while a
// state has fewer runs than the tree has levels.
const (
	loadValue = 1 << 10
	loadRun   = 32 << 20
	loadPiece = 1 << 20 // of a run, handed to Badger at once
)

// Badger's marks of entries.
const (
	markDeleted = 1 << 0
	markPointer = 1 << 1 // the value is a place in a value log
)

// loading is the state that is being written in bulk.
type loading struct {
	log     *valueLog
	run     []pending
	size    int // bytes that run keeps in memory
	version uint64
	most    int // loadRun
}

// pending is an entry of a run.
type pending struct {
	key, value []byte
	number     int // in its run
	mark       byte
	log        uint32 // that holds its value
	length     uint32 // there
}

// Load readies an empty store for a whole state that is written in bulk: until Loaded, Apply leaves out the checkpoint and
// waits for no disk, and what it was given is not to be read; that is several times as fast. A store whose load did not
// reach Loaded is empty when it is opened next. Nobody but its owner may use the store meanwhile.
func (s *Store) Load() error {
	op := "load state directory " + s.dir
	if _, marked, err := s.Checkpoint(); err != nil || marked {
		return errors.Join(err, stream.Errorf(stream.Internal, op, "it is not empty"))
	}
	if err := writeFile(filepath.Join(s.dir, loadingFile), nil); err != nil {
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	log, err := newValueLog(filepath.Join(s.dir, dataDir))
	if err != nil {
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	s.load = &loading{log: log, version: 1, most: loadRun}
	return nil
}

// Loaded makes all that was applied since Load durable, with the checkpoint.
func (s *Store) Loaded(c Checkpoint) error {
	op := "load state directory " + s.dir
	err := errors.Join(s.writeRun(), s.load.log.finish())
	if err == nil {
		err = s.reopen(s.options)
	}
	if err != nil {
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	s.load = nil
	if err := errors.Join(s.syncNames(), s.Apply(nil, c)); err != nil {
		return err
	}
	if err := errors.Join(os.Remove(filepath.Join(s.dir, loadingFile)), syncDir(s.dir)); err != nil {
		return &stream.Error{Op: op, Kind: stream.Internal, Err: err}
	}
	return nil
}

// reopen lets Badger find the value logs that were written beside it.
func (s *Store) reopen(o badger.Options) error {
	if err := s.db.Close(); err != nil {
		return err
	}
	if s.load != nil {
		if err := addDead(filepath.Join(s.dir, dataDir), s.load.log.dead); err != nil {
			return err
		}
	}
	db, err := badger.Open(o)
	if err == nil {
		s.db = db
	}
	return err
}

// bulk takes entries, in order, without waiting for the disk.
func (s *Store) bulk(entries []Entry) error {
	l := s.load
	small := 0
	for _, e := range entries {
		small += len(e.Key)
		if len(e.Value) < loadValue {
			small += len(e.Value)
		}
	}
	room := make([]byte, 0, small) // entries' memory is ours only during Apply
	keep := func(b []byte) []byte {
		room = append(room, b...)
		return room[len(room)-len(b) : len(room) : len(room)]
	}
	for _, e := range entries {
		p := pending{key: keep(e.Key), number: len(l.run)}
		switch {
		case e.Value == nil:
			p.mark = markDeleted
		case len(e.Value) < loadValue:
			p.value = keep(e.Value)
		default:
			pointer, err := l.log.append(e, l.version)
			if err != nil {
				return err
			}
			p.value, p.mark, p.log, p.length = pointer.encode(), markPointer, pointer.log, pointer.length
		}
		l.run = append(l.run, p)
	}
	const perEntry = 80 // bytes that a pending takes beside key and value
	if l.size += small + perEntry*len(entries); l.size < l.most {
		return l.log.flush()
	}
	return errors.Join(l.log.flush(), s.writeRun())
}

// writeRun makes tables of what is in memory: above those of earlier runs, in levels of which only the first, which is never
// used here, may hold tables that overlap.
func (s *Store) writeRun() error {
	l := s.load
	if len(l.run) == 0 {
		return nil
	}
	if s.db.Levels()[1].NumTables > 0 {
		if err := s.db.Flatten(1); err != nil {
			return err
		}
	}
	w := s.db.NewStreamWriter()
	defer w.Cancel()
	if err := w.PrepareIncremental(); err != nil {
		return err
	}
	if err := l.stream(w); err != nil {
		return err
	}
	l.run, l.size = nil, 0
	l.version++
	return w.Flush()
}

// stream hands the last entry of each key over, in order.
func (l *loading) stream(w *badger.StreamWriter) error {
	slices.SortFunc(l.run, func(a, b pending) int { return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.number, b.number)) })
	buf := z.NewBuffer(2*loadPiece, "load")
	defer func() { _ = buf.Release() }() // it is memory
	for i, p := range l.run {
		if i+1 < len(l.run) && bytes.Equal(p.key, l.run[i+1].key) {
			l.log.dead[p.log] += uint64(p.length)
			continue
		}
		if p.mark == markDeleted && l.version == 1 {
			continue // nothing lies below
		}
		badger.KVToBuffer(&pb.KV{Key: p.key, Value: p.value, Version: l.version, Meta: []byte{p.mark}}, buf)
		if buf.LenNoPadding() >= loadPiece {
			if err := w.Write(buf); err != nil {
				return err
			}
			buf.Reset()
		}
	}
	return w.Write(buf)
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
