package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet-dev/freshet/sinks/place"
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

	tenures place.Tenures
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
func (s *Sink) Release(partition int32) { s.tenures.Release(partition) }

func (s *Sink) op(doing string) string {
	return fmt.Sprintf("%s target %s (postgres)", doing, s.target)
}

// transact runs work in one transaction. An error is a *place.LostAnswer when the outcome is unknown; after any other
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
	return &place.LostAnswer{Err: err}
}

// isRollback reports whether a failed COMMIT certainly rolled back. A FATAL answer, such as that to an administrator's
// shutdown, may come after the commit.
func isRollback(err error) bool {
	var refusal *pgconn.PgError
	return errors.Is(err, pgx.ErrTxCommitRollback) || errors.As(err, &refusal) && refusal.SeverityUnlocalized == "ERROR"
}
