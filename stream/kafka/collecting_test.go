package kafka

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// blank is a program without tables.
type blank struct{ stream.Program }

func (blank) Logic() stream.Fingerprint { return stream.Fingerprint{} }
func (blank) Tables() []stream.Table    { return nil }

// TestSweepGivesWay: live changes and evaluations go before a sweep, until it has waited for too long; then it goes on beside them,
// in smaller steps.
func TestSweepGivesWay(t *testing.T) {
	const memos = 2 * sweepBeside
	for _, c := range []struct {
		name    string
		records int
		pending bool
		after   time.Duration // the partition was opened
		want    int           // memos that a transaction is to collect
	}{
		{"nothing to do", 0, false, time.Minute, memos},
		{"records", 1, false, time.Minute, 0},
		{"records, for long", 1, false, 2 * time.Hour, sweepBeside},
		{"evaluations", 0, true, time.Minute, 0},
		{"evaluations, for long", 0, true, 2 * time.Hour, sweepBeside},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1e9, 0)
			store := statestore.NewMemory()
			if err := store.Apply(unusedMemos(t, memos, c.pending), stream.Checkpoint{}); err != nil {
				t.Fatal(err)
			}
			part, err := engine.OpenPartition(0, store, engine.Config{Program: blank{}, MemoRetention: 8 * time.Hour,
				Now: func() int64 { return now.UnixNano() }}, false)
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(c.after)
			found, err := new(Processor).sweep(&owned{part: part}, c.records)
			if err != nil || found != (c.want > 0) {
				t.Fatalf("found %t, %v", found, err)
			}
			tx := part.Begin()
			tx.Collect()
			if _, err := tx.Finish(); err != nil {
				t.Fatal(err)
			}
			if n := len(tx.Collected()); n != c.want {
				t.Errorf("%d memos are collected, want %d", n, c.want)
			}
		})
	}
}

// unusedMemos are entries of memos that no document has used for years, and of a pending document.
func unusedMemos(t *testing.T, n int, pending bool) (entries []stream.StateEntry) {
	use, err := stream.Marshal(map[int]int64{1: 0, 2: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		key := binary.BigEndian.AppendUint64(make([]byte, 8), uint64(i))
		entries = append(entries, stream.StateEntry{Key: append([]byte{'m'}, key...), Value: []byte{0xf6}},
			stream.StateEntry{Key: append([]byte{'u'}, key...), Value: use})
	}
	if pending {
		entries = append(entries, stream.StateEntry{Key: append([]byte{'p'}, make([]byte, 16)...), Value: make([]byte, 8)})
	}
	return entries
}
