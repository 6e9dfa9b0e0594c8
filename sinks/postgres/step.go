package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/freshet-dev/freshet/stream"
)

// held is a partition's row in _freshet_offsets.
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

// move is what a step does to a partition's row.
type move uint8

const (
	advanceLive  move = iota // next goes from `from` to `to`
	advanceStage             // rebuild_next does
	finish                   // the rebuild that ends at `to` is over
)

// step is a transaction that must not be done twice.
type step struct {
	move     move
	from, to int64
}

// landed reports whether the row is as the step leaves it.
func (st step) landed(h held) bool {
	switch st.move {
	case advanceLive:
		return h.next == st.to
	case advanceStage:
		return h.rebuild != nil && h.rebuild.Next == st.to
	default:
		return h.rebuild == nil && h.next >= st.to
	}
}

// take runs a step under the partition's epoch. When COMMIT's answer is lost (S4), the row tells whether it came about:
// at once if the server can be reached, else when the caller tries the same step again.
func (s *Sink) take(ctx context.Context, partition int32, st step, work func(tx pgx.Tx, epoch int64) error) error {
	epoch, err := s.fence(partition)
	if err != nil {
		return err
	}
	if s.isUnsettled(partition, st) {
		if done, err := s.settle(ctx, partition, epoch, st); done || err != nil {
			return err
		}
	}
	err = s.transact(ctx, func(tx pgx.Tx) error { return work(tx, epoch) })
	var lost *lostAnswer
	if !errors.As(err, &lost) {
		return err
	}
	s.mu.Lock()
	s.unsettled[partition] = st
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if done, err := s.settle(ctx, partition, epoch, st); done {
		return err
	}
	return lost
}

func (s *Sink) isUnsettled(partition int32, st step) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open, found := s.unsettled[partition]
	return found && open == st
}

// settle reads the partition's row, after waiting for a transaction that still holds it: the server may not have seen
// the end of the connection yet, and may still commit.
func (s *Sink) settle(ctx context.Context, partition int32, epoch int64, st step) (done bool, err error) {
	err = s.transact(ctx, func(tx pgx.Tx) error {
		h, err := s.lockHeld(ctx, tx, partition, epoch)
		done = err == nil && st.landed(h)
		return err
	})
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	delete(s.unsettled, partition)
	s.mu.Unlock()
	return done, nil
}

// lockHeld reads the partition's row and keeps it locked to the end of the transaction; errFenced when the epoch is
// not ours any more.
func (s *Sink) lockHeld(ctx context.Context, tx pgx.Tx, partition int32, epoch int64) (held, error) {
	h, err := scanHeld(tx.QueryRow(ctx, s.selectHeld()+` AND epoch = $4 FOR UPDATE`, s.flow, s.target, partition, epoch))
	if errors.Is(err, pgx.ErrNoRows) {
		return h, errFenced
	}
	return h, err
}

// selectHeld reads what scanHeld takes, for $1 the flow, $2 the target and $3 the partition.
func (s *Sink) selectHeld() string {
	return `SELECT epoch, topic_id, generation, next, rebuild_next, rebuild_end FROM ` + s.offsets() + `
WHERE flow = $1 AND target = $2 AND partition = $3`
}

func scanHeld(row pgx.Row) (held, error) {
	var h held
	var next, end *int64
	err := row.Scan(&h.epoch, &h.topicID, &h.generation, &h.next, &next, &end)
	if next != nil && end != nil {
		h.rebuild = &stream.Rebuild{Next: *next, End: *end}
	}
	return h, err
}

func (s *Sink) offsets() string { return qualify(s.schema, offsetsTable) }
