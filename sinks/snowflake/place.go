package snowflake

import (
	"context"
	"database/sql"
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// held is a partition's row in _freshet_places: where it is, and its fence.
type held struct {
	epoch      int64
	topicID    string
	generation int64
	next       int64
	rebuild    *stream.Rebuild
}

func (h held) applied() stream.Applied {
	return stream.Applied{TopicID: h.topicID, Generation: h.generation, Next: h.next, Rebuild: h.rebuild}
}

const placeColumns = `"flow" VARCHAR NOT NULL, "target" VARCHAR NOT NULL, "partition" NUMBER(19,0) NOT NULL, "epoch" NUMBER(19,0) NOT NULL,
"topic_id" VARCHAR NOT NULL, "generation" NUMBER(19,0) NOT NULL, "next" NUMBER(19,0) NOT NULL, "rebuild_next" NUMBER(19,0), "rebuild_end" NUMBER(19,0),
"turn" NUMBER(19,0) NOT NULL`

// thePlace finds a partition's row. Every transaction that must exclude others raises its "turn": DuckDB lets two transactions write one row as long
// as they write different columns.
const thePlace = ` WHERE "flow" = ? AND "target" = ? AND "partition" = ?`

func (s *Sink) places() string { return s.schema.table(placesTable) }

// lockPlace locks the partition's row to the end of the transaction and then reads it; errFenced when its epoch is not ours. Only what is read
// under the lock counts: whoever took the partition while the update waited has committed by then.
func (s *Sink) lockPlace(ctx context.Context, tx txn, partition int32, epoch int64) (held, error) {
	if _, err := tx.exec(ctx, `UPDATE `+s.places()+` SET "turn" = "turn" + 1`+thePlace, s.flow, s.target, partition); err != nil {
		return held{}, err
	}
	h, err := s.readPlace(ctx, tx, partition)
	if err == nil && h.epoch != epoch {
		err = errFenced
	}
	return h, err
}

// reader is a transaction, or a session outside of one.
type reader interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// readPlace returns the zero value when there is no such row.
func (s *Sink) readPlace(ctx context.Context, from reader, partition int32) (held, error) {
	var h held
	var next, end sql.NullInt64
	err := from.QueryRowContext(ctx, `SELECT "epoch", "topic_id", "generation", "next", "rebuild_next", "rebuild_end" FROM `+s.places()+thePlace,
		s.flow, s.target, partition).Scan(&h.epoch, &h.topicID, &h.generation, &h.next, &next, &end)
	if errors.Is(err, sql.ErrNoRows) {
		return h, nil
	}
	if next.Valid && end.Valid {
		h.rebuild = &stream.Rebuild{Next: next.Int64, End: end.Int64}
	}
	return h, err
}

// savePlace writes the partition's row, all but the epoch.
func (s *Sink) savePlace(ctx context.Context, tx txn, partition int32, h held) error {
	var next, end any
	if h.rebuild != nil {
		next, end = h.rebuild.Next, h.rebuild.End
	}
	_, err := tx.exec(ctx, `UPDATE `+s.places()+` SET "topic_id" = ?, "generation" = ?, "next" = ?, "rebuild_next" = ?, "rebuild_end" = ?`+thePlace,
		h.topicID, h.generation, h.next, next, end, s.flow, s.target, partition)
	return err
}

// Assign raises the partition's epoch (invariant 4). The update waits for the row, hence for a zombie's open transaction.
func (s *Sink) Assign(ctx context.Context, partition int32, _ stream.Origin) (stream.Applied, error) {
	var h held
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
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epochs[partition] = h.epoch
	delete(s.unsettled, partition)
	return h.applied(), nil
}

// Inspect reads what the schema holds of a partition. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (stream.Applied, error) {
	var h held
	err := s.alone(ctx, "inspect", func(conn *sql.Conn) (err error) {
		h, err = s.readPlace(ctx, conn, partition)
		return err
	})
	return h.applied(), classed(s.op("inspect"), err)
}

// Adopt records origin and next. A rebuild that was under way for another origin starts anew from the new log's start; with next 0 it isn't
// needed, since everything is read anyway. Repeatable.
func (s *Sink) Adopt(ctx context.Context, partition int32, origin stream.Origin, next int64) error {
	return classed(s.op("adopt a rows topic in"), s.guarded(ctx, partition, func(tx txn, h held) error {
		if h.topicID != origin.TopicID || h.generation != origin.Generation {
			if h.rebuild != nil && next > 0 {
				h.rebuild = &stream.Rebuild{End: next}
			} else {
				h.rebuild = nil
			}
			if err := s.emptyStage(ctx, tx, partition); err != nil {
				return err
			}
		}
		h.topicID, h.generation, h.next = origin.TopicID, origin.Generation, next
		return s.savePlace(ctx, tx, partition, h)
	}))
}
