package snowflake

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// retryLimit bounds for how long a transaction begins anew because another one was in its way.
const retryLimit = 20 * time.Second

// Sink keeps tables in one schema. It implements stream.Sink, stream.Reader, stream.Inspector, stream.Rounder and stream.Fronter.
type Sink struct {
	account, user, warehouse, role string
	url, password, privateKey      stream.Secret
	ca                             string // path; "" for the system's certificates
	schema                         schema
	tables                         map[string]*table // by the flow's name
	order                          []*table

	flow, target string // set by Open
	db           *sql.DB
	disconnect   func()
	wasOpen      atomic.Bool // so a password that is refused was rotated

	tenures place.Tenures
}

// Close ends all sessions. The sink can be opened again.
func (s *Sink) Close() error {
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	s.disconnect()
	return err
}

// Release gives the partition up; the epoch stays in the database.
func (s *Sink) Release(partition int32) { s.tenures.Release(partition) }

func (s *Sink) op(doing string) string {
	return fmt.Sprintf("%s target %s (snowflake)", doing, s.target)
}

func (s *Sink) opened(doing string) (*sql.DB, error) {
	if s.db == nil {
		return nil, stream.Errorf(stream.Internal, s.op(doing), "the target is not open")
	}
	return s.db, nil
}

// txn is a session with an open transaction.
type txn struct{ *sql.Conn }

// exec runs a statement and returns how many rows it changed.
func (t txn) exec(ctx context.Context, sql string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// transact runs work in one transaction. An error is a *place.LostAnswer when the outcome is unknown; after any other nothing was changed. One
// that another transaction was in the way of begins anew, after a pause that grows.
func (s *Sink) transact(ctx context.Context, work func(txn) error) error {
	begun, pause := time.Now(), 4*time.Millisecond
	for {
		err := s.once(ctx, work)
		if !isConflict(err) || time.Since(begun) > retryLimit {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
			pause = min(2*pause, 200*time.Millisecond)
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// once sends BEGIN and COMMIT itself: a session whose transaction may still be open must not go back to the pool, where Snowflake would take
// the next BEGIN for done. Nor must one with a statement that was not answered: it may arrive after ROLLBACK, and would then be committed by
// itself, past the fence. What is open in a session that ends is rolled back, and what comes later refused.
func (s *Sink) once(ctx context.Context, work func(txn) error) error {
	db, err := s.opened("write to")
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		discard(conn)
		return err
	}
	if err := work(txn{conn}); err != nil {
		if !isConflict(err) && !errors.Is(err, place.ErrFenced) {
			discard(conn)
			return err
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, failed := conn.ExecContext(ctx, "ROLLBACK"); failed != nil {
			discard(conn)
		}
		return err
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		discard(conn)
		return &place.LostAnswer{Err: err}
	}
	return nil
}

// alone runs work outside of a transaction. A session in which something failed, which may be over, does not go back to the pool.
func (s *Sink) alone(ctx context.Context, doing string, work func(*sql.Conn) error) error {
	db, err := s.opened(doing)
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err = work(conn); err != nil {
		discard(conn)
	}
	return err
}

// discard ends the session, and with it its transaction, instead of giving it back.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}
