package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// indexLock is the advisory lock that whoever makes indexes holds.
const indexLock = declareLock + 1

// ensureIndexes makes the HNSW indexes that are absent, and anew those that an attempt left unfinished, if rows were applied and no rebuild is
// under way. It is called when a first pass or a rebuild is over, since the rows of a load go into a table without one many times faster; and at a
// start, in case the call then failed. Meanwhile the table is read and written as ever. While another process is at it, nothing is done.
func (s *Sink) ensureIndexes(ctx context.Context) error {
	return s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		absent, err := s.absentIndexes(ctx, conn)
		if err != nil || len(absent) == 0 {
			return err
		}
		if loaded, err := s.loaded(ctx, conn); err != nil || !loaded {
			return err
		}
		var mine bool
		if err := conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(indexLock)).Scan(&mine); err != nil || !mine {
			return err
		}
		defer func() { // with the lock and the setting
			_ = conn.Hijack().Close(context.WithoutCancel(ctx))
		}()
		if _, err := conn.Exec(ctx, "SET statement_timeout = 0"); err != nil {
			return err
		}
		for _, x := range absent {
			if err := x.make(ctx, conn.Conn()); err != nil {
				return fmt.Errorf("make the HNSW index of column %q of table %q: %w", x.column.name, x.table.name, err)
			}
		}
		return nil
	})
}

// index is one that a table is to have.
type index struct {
	name   string // qualified and quoted
	table  *table
	column column
}

// absentIndexes returns those that are not there, or can't be used.
func (s *Sink) absentIndexes(ctx context.Context, conn *pgxpool.Conn) (absent []index, err error) {
	for _, t := range s.order {
		for _, name := range t.hnsw {
			var there bool
			err := conn.QueryRow(ctx, `SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2`, s.schema, indexName(t.name, name)).Scan(&there)
			if err != nil && !errors.Is(err, pgx.ErrNoRows) {
				return nil, err
			}
			if !there {
				c, _ := t.column(name)
				absent = append(absent, index{qualify(s.schema, indexName(t.name, name)), t, c})
			}
		}
	}
	return absent, nil
}

// make makes the index, in place of one that was left unfinished. It can't be done in a transaction.
func (x index) make(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{"DROP INDEX CONCURRENTLY IF EXISTS " + x.name, fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON %s USING hnsw (%s %s_cosine_ops)",
		quote(indexName(x.table.name, x.column.name)), x.table.live.quoted, quote(x.column.name), x.column.sql)} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// loaded reports whether rows were applied and no rebuild is under way.
func (s *Sink) loaded(ctx context.Context, conn *pgxpool.Conn) (yes bool, err error) {
	err = conn.QueryRow(ctx, `SELECT coalesce(bool_or(next > 0), false) AND coalesce(bool_and(rebuild_end IS NULL), false) FROM `+s.offsets()+`
WHERE flow = $1 AND target = $2`, s.flow, s.target).Scan(&yes)
	return yes, err
}
