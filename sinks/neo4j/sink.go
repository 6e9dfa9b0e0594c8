package neo4j

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Limits of a transaction. A zombie in the middle of one loses its locks after stepLimit, whether its process is stopped or its host is gone.
const (
	stepLimit = 2 * time.Minute
	longLimit = time.Hour // a switch or a sweep writes a whole partition
)

// maxTries bounds how often a transaction begins anew because the server chose it to end a deadlock.
const maxTries = 20

// Sink keeps tables in one database. It implements stream.Sink, stream.Searcher, stream.Reader, stream.Inspector, stream.Rounder and
// stream.Fronter.
type Sink struct {
	url, username, password stream.Secret
	ca                      string // path; "" for the system's certificates
	database                string // "" for the user's own
	tables                  map[string]*table
	order                   []*table
	derives                 bool // a table of its is derived

	flow, target, owner string // set by Open
	driver              neo4j.DriverWithContext
	closeDriver         func() error
	opened              atomic.Bool // it was open once, so a password that is refused was rotated

	tenures place.Tenures
}

// Close ends all connections. The sink can be opened again.
func (s *Sink) Close() error {
	if s.driver == nil {
		return nil
	}
	s.driver = nil
	return s.closeDriver()
}

// Release gives the partition up; the epoch stays in the database.
func (s *Sink) Release(partition int32) { s.tenures.Release(partition) }

func (s *Sink) op(doing string) string { return fmt.Sprintf("%s target %s (neo4j)", doing, s.target) }

// args are a statement's parameters.
type args = map[string]any

// txn is one transaction on the server.
type txn struct{ neo4j.ExplicitTransaction }

// run executes a statement and returns its rows.
func (t txn) run(ctx context.Context, cypher string, a args) ([][]any, error) {
	result, err := t.Run(ctx, cypher, a)
	if err != nil {
		return nil, err
	}
	records, err := result.Collect(ctx)
	rows := make([][]any, len(records))
	for i, r := range records {
		rows[i] = r.Values
	}
	return rows, err
}

// transact runs work in one transaction. An error is a *place.LostAnswer when the outcome is unknown; after any other nothing was changed. A
// transaction that lost a deadlock begins anew.
func (s *Sink) transact(ctx context.Context, limit time.Duration, work func(txn) error) error {
	for try := 1; ; try++ {
		err := s.once(ctx, limit, work)
		if try == maxTries || !isDeadlock(err) {
			return err
		}
	}
}

func (s *Sink) once(ctx context.Context, limit time.Duration, work func(txn) error) error {
	if s.driver == nil {
		return stream.Errorf(stream.Internal, s.op("write to"), "the target is not open")
	}
	session := s.driver.NewSession(ctx, neo4j.SessionConfig{DatabaseName: s.database, FetchSize: neo4j.FetchAll})
	defer s.leave(ctx, session)
	tx, err := session.BeginTransaction(ctx, neo4j.WithTxTimeout(limit))
	if err != nil {
		return err
	}
	if err := work(txn{tx}); err != nil {
		return err // the session rolls back
	}
	if err := tx.Commit(ctx); err != nil {
		return &place.LostAnswer{Err: err}
	}
	return nil
}

// leave gives the session's connection back, rolled back if need be, also once ctx is over.
func (s *Sink) leave(ctx context.Context, session neo4j.SessionWithContext) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = session.Close(ctx) // without it the server rolls back when the connection ends
}

// query runs one statement by itself, as schema commands must be.
func (s *Sink) query(ctx context.Context, cypher string, a args) (rows [][]any, err error) {
	err = s.transact(ctx, longLimit, func(tx txn) error {
		rows, err = tx.run(ctx, cypher, a)
		return err
	})
	return rows, err
}

func isDeadlock(err error) bool {
	var refusal *neo4j.Neo4jError
	return errors.As(err, &refusal) && refusal.Code == "Neo.TransientError.Transaction.DeadlockDetected"
}
