package statestore

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/freshet-dev/freshet/stream"
)

// Store is the state of one partition. Get, Scan and Checkpoint may run concurrently with each other and with Apply;
// calls of Apply may not overlap. A reader beside an Apply of several pieces can see some of them: Invariant 2 has the
// engine evaluate nothing until Apply has returned.
type Store struct {
	gate
	dir     string
	options badger.Options
	db      *badger.DB
	lock    *os.File
	load    *loading // between Load and Loaded
	// names are those of the files below data that were synced last.
	names []string

	beforePiece func(piece int) error // tests fail here, as a crash would
	free        func(dir string) (int64, error)
	closeWithin time.Duration
}

// closeWithin bounds Close: on a disk that lastingly fails, Badger tries to write its last table without end.
const closeWithin = 30 * time.Second

// Open opens dir, creating it when absent, and finishes a wipe that was cut short. It fails with kind Usage and
// ErrForeign when dir is another flow's or partition's, with Usage and ErrLocked when it is open elsewhere, and with
// kind Internal when its files can't be read: they are only a copy of the changelog, so Wipe and a restore heal that. On a
// disk that is nearly full it fails with ErrFull, as Apply does.
func Open(dir string, identity Identity, log *slog.Logger) (*Store, error) {
	op := "open state directory " + dir
	lock, err := claim(dir, identity)
	if err != nil {
		return nil, openError(op, err)
	}
	if err := room(dir, freeSpace); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	data := filepath.Join(dir, dataDir)
	o := options(data, log)
	if err = dropLoading(dir); err == nil {
		err = dropEmpty(data)
	}
	if err == nil {
		err = verify(data, o)
	}
	if err != nil {
		return nil, openError(op, errors.Join(err, lock.Close()))
	}
	db, err := badger.Open(o)
	if err != nil {
		return nil, openError(op, errors.Join(err, lock.Close()))
	}
	s := &Store{dir: dir, options: o, db: db, lock: lock, free: freeSpace, closeWithin: closeWithin}
	s.gate.init()
	if err := errors.Join(s.reclaim(), syncDir(dir), s.syncNames()); err != nil {
		return nil, openError(op, errors.Join(err, s.Close()))
	}
	return s, nil
}

// syncNames makes the names of the database's files durable when they changed. Badger syncs what it writes into a new log
// but not the log's name: without this a later log could survive an earlier one, and a pointer the log that it points into
// (docs/decisions/013).
func (s *Store) syncNames() error {
	data := filepath.Join(s.dir, dataDir)
	found, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	names := make([]string, len(found))
	for i, f := range found {
		names[i] = f.Name()
	}
	if slices.Equal(names, s.names) {
		return nil
	}
	s.names = names
	return syncDir(data)
}

// dropEmpty removes logs that a kill left without a byte, between their creation and their first extension: Badger
// refuses to open beside one. Nothing was ever in them.
func dropEmpty(data string) error {
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		logs, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil {
			return err
		}
		for _, log := range logs {
			info, err := os.Stat(log)
			if err == nil && info.Size() == 0 {
				err = os.Remove(log)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func openError(op string, err error) error {
	kind := stream.Internal
	if errors.Is(err, ErrForeign) || errors.Is(err, ErrLocked) || errors.Is(err, os.ErrPermission) {
		kind = stream.Usage
	}
	return &stream.Error{Op: op, Kind: kind, Err: err}
}

// claim makes dir ours: finishes wipes, takes the lock, checks or writes the identity.
func claim(dir string, identity Identity) (*os.File, error) {
	if err := finishWipe(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	if err := identity.ensure(dir); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// Close waits for pins and running calls, refuses new ones, and closes the files. Repeating it does nothing. On a disk that
// does not answer it gives up after a while; the directory stays locked then, until the process ends.
func (s *Store) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- s.close() }()
	timer := time.NewTimer(s.closeWithin)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return stream.Errorf(stream.Internal, "close state directory "+s.dir, "its disk has not answered for %s; look at the disk, and start this process "+
			"again", s.closeWithin)
	}
}

func (s *Store) close() error {
	c, ok, err := s.Checkpoint()
	if !s.gate.close() {
		return nil
	}
	if err == nil && ok {
		_ = s.leaveNote(c) // a hint: without it, the store is only thought to be empty
	}
	if s.load != nil {
		err = s.load.log.finish() // of no use any more
	}
	if err := errors.Join(err, s.db.Close(), s.lock.Close()); err != nil {
		return &stream.Error{Op: "close state directory " + s.dir, Kind: stream.Internal, Err: err}
	}
	return nil
}

// gate counts who is inside and keeps newcomers out once closed.
type gate struct {
	mu     sync.Mutex
	left   *sync.Cond
	inside int
	closed bool
}

func (g *gate) init() { g.left = sync.NewCond(&g.mu) }

func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return &stream.Error{Op: "use the state", Kind: stream.Internal, Err: ErrClosed}
	}
	g.inside++
	return nil
}

func (g *gate) leave() {
	g.mu.Lock()
	g.inside--
	g.left.Broadcast()
	g.mu.Unlock()
}

// close waits until nobody is inside; false when the gate was closed before.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.closed
	g.closed = true
	for g.inside > 0 {
		g.left.Wait()
	}
	return first
}

// Pin keeps the store open until release is called, so that others than its owner may read it. It is false when the
// store is closed or about to be. Repeating release does nothing.
func (g *gate) Pin() (release func(), ok bool) {
	if g.enter() != nil {
		return nil, false
	}
	return sync.OnceFunc(g.leave), true
}
