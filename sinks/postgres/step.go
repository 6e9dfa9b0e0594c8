package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// take runs a step under the partition's epoch. When COMMIT's answer is lost (S4), the row tells whether it came about:
// at once if the server can be reached, else when the caller tries the same step again.
func (s *Sink) take(ctx context.Context, partition int32, st place.Step, work func(tx pgx.Tx, epoch int64) error) error {
	epoch, err := s.tenures.Epoch(partition)
	if err != nil {
		return err
	}
	if s.tenures.Unsettled(partition, st) {
		if done, err := s.settle(ctx, partition, epoch, st); done || err != nil {
			return err
		}
	}
	err = s.transact(ctx, func(tx pgx.Tx) error { return work(tx, epoch) })
	var lost *place.LostAnswer
	if !errors.As(err, &lost) {
		return err
	}
	s.tenures.Note(partition, st, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if done, err := s.settle(ctx, partition, epoch, st); done {
		return err
	}
	return lost
}

// settle reads the partition's row, after waiting for a transaction that still holds it: the server may not have seen
// the end of the connection yet, and may still commit.
func (s *Sink) settle(ctx context.Context, partition int32, epoch int64, st place.Step) (done bool, err error) {
	err = s.transact(ctx, func(tx pgx.Tx) error {
		h, err := s.lockHeld(ctx, tx, partition, epoch)
		done = err == nil && st.Landed(h)
		return err
	})
	if err != nil {
		return false, err
	}
	s.tenures.Note(partition, st, nil)
	return done, nil
}

// lockHeld reads the partition's row and keeps it locked to the end of the transaction; place.ErrFenced when the epoch is
// not ours any more.
func (s *Sink) lockHeld(ctx context.Context, tx pgx.Tx, partition int32, epoch int64) (place.Place, error) {
	h, err := scanHeld(tx.QueryRow(ctx, s.selectHeld()+` AND epoch = $4 FOR UPDATE`, s.flow, s.target, partition, epoch))
	if errors.Is(err, pgx.ErrNoRows) {
		return h, place.ErrFenced
	}
	return h, err
}

// selectHeld reads what scanHeld takes, for $1 the flow, $2 the target and $3 the partition.
func (s *Sink) selectHeld() string {
	return `SELECT epoch, topic_id, generation, next, rebuild_next, rebuild_end FROM ` + s.offsets() + `
WHERE flow = $1 AND target = $2 AND partition = $3`
}

func scanHeld(row pgx.Row) (place.Place, error) {
	var h place.Place
	var next, end *int64
	err := row.Scan(&h.Epoch, &h.TopicID, &h.Generation, &h.Next, &next, &end)
	if next != nil && end != nil {
		h.Rebuild = &stream.Rebuild{Next: *next, End: *end}
	}
	return h, err
}

func (s *Sink) offsets() string { return qualify(s.schema, offsetsTable) }
