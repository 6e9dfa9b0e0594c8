package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet-dev/freshet/stream"
)

// Sink keeps tables in one schema. It implements stream.Sink, stream.Searcher and stream.Reader.
type Sink struct {
	url    stream.Secret
	schema string
	tables map[string]*table // by the flow's name
	order  []*table

	flow, target string // set by Open
	pool         *pgxpool.Pool
	copyFrom     int // how many upserts of a table go by COPY

	mu        sync.Mutex
	epochs    map[int32]int64 // of the partitions that were assigned and neither released nor lost
	unsettled map[int32]step  // steps whose COMMIT was never answered
}

// Close ends all connections. The sink can be opened again.
func (s *Sink) Close() error {
	if s.pool != nil {
		s.pool.Close()
		s.pool = nil
	}
	return nil
}

// Release gives the partition up; the epoch stays in the database.
func (s *Sink) Release(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.epochs, partition)
	delete(s.unsettled, partition)
}

func (s *Sink) op(doing string) string {
	return fmt.Sprintf("%s target %s (postgres)", doing, s.target)
}

func (s *Sink) fence(partition int32) (epoch int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	epoch, held := s.epochs[partition]
	if !held {
		return 0, fmt.Errorf("partition %d is not assigned: %w", partition, errFenced)
	}
	return epoch, nil
}

// lostAnswer says that a transaction may or may not have been committed.
type lostAnswer struct{ err error }

func (l *lostAnswer) Error() string {
	return "the connection ended before COMMIT was answered: " + l.err.Error()
}

func (l *lostAnswer) Unwrap() error { return l.err }

// transact runs work in one transaction. An error is a *lostAnswer when the outcome is unknown; after any other
// nothing was changed.
func (s *Sink) transact(ctx context.Context, work func(pgx.Tx) error) error {
	if s.pool == nil {
		return stream.Errorf(stream.Internal, s.op("write to"), "the target is not open")
	}
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = tx.Rollback(ctx) // without it the server rolls back when the connection ends
		return err
	}
	err = tx.Commit(ctx)
	if err == nil || isRollback(err) {
		return err
	}
	return &lostAnswer{err}
}

// isRollback reports whether a failed COMMIT certainly rolled back. A FATAL answer, such as that to an administrator's
// shutdown, may come after the commit.
func isRollback(err error) bool {
	var refusal *pgconn.PgError
	return errors.Is(err, pgx.ErrTxCommitRollback) || errors.As(err, &refusal) && refusal.SeverityUnlocalized == "ERROR"
}
