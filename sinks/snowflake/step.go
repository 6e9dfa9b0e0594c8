package snowflake

import (
	"context"
	"errors"
)

// step is a transaction that must not be done twice: it moves an offset, or ends the rebuild that ends at `to`.
type step struct {
	move     move
	from, to int64
}

type move uint8

const (
	advanceLive  move = iota // next goes from `from` to `to`
	advanceStage             // the rebuild's next does
	finish
)

// landed reports whether the partition's row is as the step leaves it.
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

// guarded runs a transaction that may be repeated, holding the partition's row under our epoch.
func (s *Sink) guarded(ctx context.Context, partition int32, work func(txn, held) error) error {
	epoch, err := s.fence(partition)
	if err != nil {
		return err
	}
	return s.transact(ctx, func(tx txn) error {
		h, err := s.lockPlace(ctx, tx, partition, epoch)
		if err != nil {
			return err
		}
		return work(tx, h)
	})
}

// take runs a step. When the answer to its COMMIT was lost (S4), the caller tries it again, and the partition's row then tells whether it
// came about: its lock waits for the first transaction, which the server may still commit.
func (s *Sink) take(ctx context.Context, partition int32, st step, work func(txn, held) error) error {
	again := s.isUnsettled(partition, st)
	err := s.guarded(ctx, partition, func(tx txn, h held) error {
		if again && st.landed(h) {
			return nil
		}
		return work(tx, h)
	})
	var lost *lostAnswer
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.As(err, &lost) {
		s.unsettled[partition] = st
	} else if err == nil {
		delete(s.unsettled, partition)
	}
	return err
}

func (s *Sink) isUnsettled(partition int32, st step) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open, found := s.unsettled[partition]
	return found && open == st
}
