package engine

import (
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// sweep is a walk over a partition's use records, in slices, for memos that no document has used for longer than the
// retention. It is a hint, kept in memory alone: a process that ends begins it again.
type sweep struct {
	due   int64                // when it begins, unix ns
	began int64                // when it began
	from  []byte               // the key where it goes on; nil: it is not under way
	found []stream.Fingerprint // memos that a transaction is to collect before it goes on
}

// sweepEvery is the part of the retention after which the next sweep begins, and for which one may wait for a moment without live
// changes.
const sweepEvery = 8

// Sweep looks at the next n use records, if it is time to, and reports whether there are memos for a transaction to Collect.
// It may be called beside evaluations: one that found such a memo brings its value along.
func (p *Partition) Sweep(n int) (found bool, err error) {
	s := &p.sweep
	switch {
	case p.config.MemoRetention <= 0:
		return false, nil
	case len(s.found) > 0:
		return true, nil
	case s.from == nil:
		if s.began = p.config.Now(); s.began < s.due || p.stats.Contents.Unused.Count == 0 {
			return false, nil
		}
		s.from = []byte{keyMemoUse}
	}
	from, now := s.from, p.config.Now()
	s.from = nil
	err = p.Store.Scan([]byte{keyMemoUse}, from, func(k, v []byte) (bool, error) {
		if n--; n < 0 {
			s.from = slices.Clone(k)
			return false, nil
		}
		var use memoUse
		if err := stream.Unmarshal(v, &use); err != nil {
			return false, err
		}
		if p.outlived(use, now) {
			s.found = append(s.found, stream.Fingerprint(k[1:17]))
		}
		return true, nil
	})
	if s.from == nil {
		s.due = s.began + int64(p.config.MemoRetention)/sweepEvery
	}
	return len(s.found) > 0, err
}

// SweepLate reports whether a sweep has waited for so long that it should go on beside live changes.
func (p *Partition) SweepLate() bool {
	wait := int64(p.config.MemoRetention) / sweepEvery
	return wait > 0 && p.stats.Contents.Unused.Count > 0 && p.config.Now() > p.sweep.due+wait
}

func (p *Partition) outlived(use memoUse, now int64) bool {
	return use.Count == 0 && time.Duration(now-use.Unused) > p.config.MemoRetention
}

// Collect has Finish delete the memos that Sweep found, but for those that are used by then, or were since.
func (t *Tx) Collect() { t.collecting = true }

// Collected returns the memos that the transaction deletes, after Finish.
func (t *Tx) Collected() []stream.Fingerprint { return t.collected }

func (t *Tx) collect() error {
	now := t.p.config.Now()
	for _, key := range t.p.sweep.found {
		u, err := t.usage(key)
		if err != nil {
			return err
		}
		if u.length > 0 && t.p.outlived(u.memoUse, now) {
			t.dropMemo(key, u)
			t.collected = append(t.collected, key)
		}
	}
	t.counts.Collected += int64(len(t.collected))
	if len(t.collected) == 0 {
		t.p.sweep.found = nil // there may be nothing to commit; a later sweep finds what is left
	}
	return nil
}
