package statestore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/freshet-dev/freshet/stream"
)

// Get returns the value under key; it is the caller's to keep. ok is false when there is none.
func (s *Store) Get(key []byte) (value []byte, ok bool, err error) {
	if err := s.enter(); err != nil {
		return nil, false, err
	}
	defer s.leave()
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err == nil {
		value, err = item.ValueCopy([]byte{})
	}
	if err == nil {
		err = lost(item, value)
	}
	if err != nil {
		return nil, false, s.readError(err)
	}
	return value, true, nil
}

// Scan calls each for the keys that begin with prefix, in order, beginning with the first one not below from (nil: with
// the first), until each returns false or an error, which Scan returns as it is. Key and value are valid during the call.
// It sees the state as of its start.
func (s *Store) Scan(prefix, from []byte, each func(key, value []byte) (more bool, err error)) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	txn := s.db.NewTransaction(false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Seek(start(prefix, from)); it.Valid(); it.Next() {
		more, err := s.visit(it.Item(), each)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (s *Store) visit(item *badger.Item, each func(key, value []byte) (bool, error)) (more bool, err error) {
	var failed error
	err = item.Value(func(value []byte) error {
		if err := lost(item, value); err != nil {
			return err
		}
		more, failed = each(item.Key(), value)
		return nil
	})
	if err != nil {
		return false, s.readError(err)
	}
	return more, failed
}

// lost finds a value that Badger can't read from its log of large values: it gives an empty one and no error.
func lost(item *badger.Item, value []byte) error {
	if len(value) == 0 && item.ValueSize() > 0 {
		return damaged("the value log", "lacks the value of key %q", item.Key())
	}
	return nil
}

// start is the lowest key that a scan may show: reserved keys lie below it.
func start(prefix, from []byte) []byte {
	low := firstKey
	for _, b := range [][]byte{prefix, from} {
		if bytes.Compare(b, low) > 0 {
			low = b
		}
	}
	return low
}

// Checkpoint returns the checkpoint of the last complete Apply; ok is false when there was none.
func (s *Store) Checkpoint() (c Checkpoint, ok bool, err error) {
	b, ok, err := s.Get(checkpointKey)
	if err != nil || !ok {
		return c, false, err
	}
	if err := stream.Unmarshal(b, &c); err != nil {
		return c, false, s.readError(err)
	}
	return c, true, nil
}

// readError marks a directory whose data is damaged, so that the next Open wipes it.
func (s *Store) readError(err error) error {
	if errors.Is(err, errDamaged) {
		err = errors.Join(fmt.Errorf("%w; the next start restores it from the changelog", err), writeFile(filepath.Join(s.dir, wipingFile), nil))
	}
	return &stream.Error{Op: "read state directory " + s.dir, Kind: stream.Internal, Err: err}
}

// Size returns the bytes that the directory takes on disk now; what can't be read counts as nothing.
func (s *Store) Size() (bytes int64) { return SizeOf(s.dir) }

// SizeOf returns the bytes that a directory takes on disk, e.g. one that the directories of stores lie in, open or not.
func SizeOf(dir string) (bytes int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // files come and go with compaction
		}
		if info, err := d.Info(); err == nil {
			bytes += occupied(info)
		}
		return nil
	})
	return bytes
}
