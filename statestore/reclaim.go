package statestore

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
)

// deadShare is the part of a value log that must be dead before what lives of it is written anew.
const deadShare = 0.5

// reclaim frees the space of dead values that were too large for the tree.
//
// Badger copies each version that the tree still knows from an old value log to the top of the tree, a deleted key's too.
// The deletion stays below the copy; once a compaction has dropped it, the copy is what the key has, and the key is back. So
// values are reclaimed only when no deletion lies over an older version. Nobody writes meanwhile.
func (s *Store) reclaim() error {
	if dead, err := s.deadLog(); err != nil || !dead {
		return err
	}
	shadowed, err := s.shadowed()
	if err == nil && shadowed {
		if err = s.db.Flatten(1); err == nil {
			shadowed, err = s.shadowed()
		}
	}
	for err == nil && !shadowed {
		if err = s.syncNames(); err == nil { // an old log goes when its values are in a new one, whose name must be on the disk
			err = s.db.RunValueLogGC(deadShare)
		}
	}
	if errors.Is(err, badger.ErrNoRewrite) {
		return nil
	}
	return err // nil with what could not be merged yet: a later Open reclaims
}

// deadFile is where Badger counts each value log's dead bytes. They are only a hint; a power loss may leave any count.
const deadFile = "DISCARD"

// deadBytes reads pairs of a log's number and a count, up to number 0.
func deadBytes(counts []byte) map[uint32]uint64 {
	dead := map[uint32]uint64{}
	const pair = 16
	for ; len(counts) >= pair; counts = counts[pair:] {
		log := binary.BigEndian.Uint64(counts)
		if log == 0 {
			break
		}
		dead[uint32(log)] = binary.BigEndian.Uint64(counts[pair/2:])
	}
	return dead
}

// deadLog reports whether a log has so many dead bytes that it is worth being written anew.
func (s *Store) deadLog() (bool, error) {
	data := filepath.Join(s.dir, dataDir)
	counts, err := os.ReadFile(filepath.Join(data, deadFile))
	if err != nil {
		return false, err
	}
	for log, dead := range deadBytes(counts) {
		info, err := os.Stat(logPath(data, log))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		if float64(dead) >= deadShare*float64(info.Size()) {
			return true, nil
		}
	}
	return false, nil
}

// shadowed says whether a deleted key's older version is still in the tree.
func (s *Store) shadowed() (found bool, err error) {
	err = s.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.AllVersions, o.PrefetchValues = true, false
		all := txn.NewIterator(o)
		defer all.Close()
		var key []byte // the one before
		deleted := false
		for all.Rewind(); all.Valid(); all.Next() { // of a key the newest version comes first
			item := all.Item()
			if string(item.Key()) != string(key) || key == nil {
				key, deleted = item.KeyCopy(key), item.IsDeletedOrExpired()
			} else if deleted {
				found = true
				return nil
			}
		}
		return nil
	})
	return found, err
}
