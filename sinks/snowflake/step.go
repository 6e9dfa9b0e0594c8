package snowflake

import (
	"context"

	"github.com/freshet-dev/freshet/sinks/place"
)

// guarded runs a transaction that may be repeated, holding the partition's row under our epoch.
func (s *Sink) guarded(ctx context.Context, partition int32, work func(txn, place.Place) error) error {
	epoch, err := s.tenures.Epoch(partition)
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
func (s *Sink) take(ctx context.Context, partition int32, st place.Step, work func(txn, place.Place) error) error {
	again := s.tenures.Unsettled(partition, st)
	err := s.guarded(ctx, partition, func(tx txn, h place.Place) error {
		if again && st.Landed(h) {
			return nil
		}
		return work(tx, h)
	})
	s.tenures.Note(partition, st, err)
	return err
}
