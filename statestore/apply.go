package statestore

import (
	"errors"

	"github.com/dgraph-io/badger/v4"

	"github.com/freshet-dev/freshet/stream"
)

// Apply writes the entries, in order, and then the checkpoint, and returns when all is on disk. What does not fit into
// one transaction goes in pieces; after an error or a crash some of them may be in, under the old checkpoint, and
// applying the same again completes them. Entries' memory must not change until it returns.
func (s *Store) Apply(entries []Entry, c Checkpoint) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	if err := checkEntries(entries); err != nil {
		return err
	}
	if err := room(s.dir, s.free); err != nil {
		return err
	}
	if s.load != nil {
		if err := s.bulk(entries); err != nil {
			return &stream.Error{Op: "load state directory " + s.dir, Kind: stream.Internal, Err: err}
		}
		return nil
	}
	if err := s.write(entries, c); err != nil {
		return &stream.Error{Op: "apply entries to state directory " + s.dir, Kind: stream.Internal, Err: err}
	}
	return nil
}

func (s *Store) write(entries []Entry, c Checkpoint) error {
	mark, err := stream.Marshal(c)
	if err != nil {
		return err
	}
	p := pieces{store: s, txn: s.db.NewTransaction(true)}
	defer func() { p.txn.Discard() }()
	if err := p.txn.Set(lowKey, nil); err != nil {
		return err
	}
	for _, e := range entries {
		if err := p.put(e); err != nil {
			return err
		}
	}
	// Invariant 2: the checkpoint comes last, so it is in the last piece.
	if err := p.put(Entry{Key: checkpointKey, Value: mark}); err != nil {
		return err
	}
	return p.commit()
}

// pieces fills one transaction after the other.
type pieces struct {
	store *Store
	txn   *badger.Txn
	done  int
}

func (p *pieces) put(e Entry) error {
	err := set(p.txn, e)
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := p.commit(); err != nil {
		return err
	}
	p.txn = p.store.db.NewTransaction(true)
	return errors.Join(p.txn.Set(lowKey, nil), set(p.txn, e))
}

func set(txn *badger.Txn, e Entry) error {
	if e.Value == nil {
		return txn.Delete(e.Key)
	}
	return txn.Set(e.Key, e.Value)
}

func (p *pieces) commit() error {
	if p.store.beforePiece != nil {
		if err := p.store.beforePiece(p.done); err != nil {
			return err
		}
	}
	p.done++
	if err := p.txn.Commit(); err != nil {
		return err
	}
	return p.store.syncNames()
}
