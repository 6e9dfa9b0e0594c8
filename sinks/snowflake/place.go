package snowflake

import (
	"context"
	"database/sql"
	"errors"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

const placeColumns = `"flow" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, "partition" NUMBER(19,0) NOT NULL, "epoch" NUMBER(19,0) NOT NULL,
"topic_id" VARCHAR NOT NULL, "generation" NUMBER(19,0) NOT NULL, "next" NUMBER(19,0) NOT NULL, "rebuild_next" NUMBER(19,0), "rebuild_end" NUMBER(19,0),
"turn" NUMBER(19,0) NOT NULL`

// thePlace finds a partition's row. Every transaction that must exclude others raises its "turn": DuckDB lets two transactions write one row as long
// as they write different columns.
const thePlace = ` WHERE "flow" = ? AND "target" = ? AND "partition" = ?`

func (s *Sink) places() string { return s.schema.table(placesTable) }

// lockPlace locks the partition's row to the end of the transaction and then reads it; place.ErrFenced when its epoch is not ours. Only what is read
// under the lock counts: whoever took the partition while the update waited has committed by then.
func (s *Sink) lockPlace(ctx context.Context, tx txn, partition int32, epoch int64) (place.Place, error) {
	if _, err := tx.exec(ctx, `UPDATE `+s.places()+` SET "turn" = "turn" + 1`+thePlace, s.flow, s.target, partition); err != nil {
		return place.Place{}, err
	}
	h, err := s.readPlace(ctx, tx, partition)
	if err == nil && h.Epoch != epoch {
		err = place.ErrFenced
	}
	return h, err
}

// reader is a transaction, or a session outside of one.
type reader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readPlace returns the zero value when there is no such row.
func (s *Sink) readPlace(ctx context.Context, from reader, partition int32) (place.Place, error) {
	var h place.Place
	var next, end sql.NullInt64
	err := from.QueryRowContext(ctx, `SELECT "epoch", "topic_id", "generation", "next", "rebuild_next", "rebuild_end" FROM `+s.places()+thePlace,
		s.flow, s.target, partition).Scan(&h.Epoch, &h.TopicID, &h.Generation, &h.Next, &next, &end)
	if errors.Is(err, sql.ErrNoRows) {
		return h, nil
	}
	if next.Valid && end.Valid {
		h.Rebuild = &stream.Rebuild{Next: next.Int64, End: end.Int64}
	}
	return h, err
}

// savePlace writes the partition's row, all but the epoch.
func (s *Sink) savePlace(ctx context.Context, tx txn, partition int32, h place.Place) error {
	var next, end any
	if h.Rebuild != nil {
		next, end = h.Rebuild.Next, h.Rebuild.End
	}
	_, err := tx.exec(ctx, `UPDATE `+s.places()+` SET "topic_id" = ?, "generation" = ?, "next" = ?, "rebuild_next" = ?, "rebuild_end" = ?`+thePlace,
		h.TopicID, h.Generation, h.Next, next, end, s.flow, s.target, partition)
	return err
}

// Assign raises the partition's epoch (invariant 4). The update waits for the row, hence for a zombie's open transaction.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	var h place.Place
	err := s.transact(ctx, func(tx txn) error {
		if err := s.lockAll(ctx, tx); err != nil { // a place that is absent can't be locked
			return err
		}
		n, err := tx.exec(ctx, `UPDATE `+s.places()+` SET "epoch" = "epoch" + 1, "turn" = "turn" + 1`+thePlace, s.flow, s.target, partition)
		if err == nil && n == 0 {
			_, err = tx.exec(ctx, `INSERT INTO `+s.places()+` ("flow", "target", "partition", "epoch", "topic_id", "generation", "next", "turn")
VALUES (?, ?, ?, 1, '', 0, 0, 0)`, s.flow, s.target, partition)
		}
		if err == nil {
			h, err = s.readPlace(ctx, tx, partition)
		}
		return err
	})
	if err != nil {
		return stream.Applied{}, classed(s.op("take a partition of"), err)
	}
	s.tenures.Take(partition, h.Epoch)
	return h.Applied(), nil
}

// Inspect reads what the schema holds of a partition. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (stream.Applied, error) {
	var h place.Place
	err := s.alone(ctx, "inspect", func(conn *sql.Conn) (err error) {
		h, err = s.readPlace(ctx, conn, partition)
		return err
	})
	return h.Applied(), classed(s.op("inspect"), err)
}

// Adopt records origin and next. Repeatable.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	return classed(s.op("adopt a rows topic in"), s.guarded(ctx, partition, func(tx txn, h place.Place) error {
		if h.Adopt(origin, next) {
			if err := s.emptyStage(ctx, tx, partition); err != nil {
				return err
			}
		}
		return s.savePlace(ctx, tx, partition, h)
	}))
}
