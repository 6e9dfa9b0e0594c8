package guard_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var origin = stream.Origin{Flow: "f", Target: "t", TopicID: "topic", Generation: 1}

var lines = stream.TargetTable{Table: stream.Table{Name: "lines", Columns: []stream.Field{{Name: "text", Type: stream.TypeString}}}}

// target is a store with a clock of its own, and the writers that it meets.
type target struct {
	*testing.T
	store   *guarded.Store
	now     time.Time
	options guard.Options
}

// each plays a scenario under both kinds of guard.
func each(t *testing.T, scenario func(s *target)) {
	for name, byBatch := range map[string]bool{"by row": false, "by batch": true} {
		t.Run(name, func(t *testing.T) {
			s := &target{T: t, store: guarded.NewStore(), now: time.Unix(1_000_000_000, 0)}
			s.options = guard.Options{ByBatch: byBatch, Wait: time.Microsecond, Now: func() time.Time { return s.now }}
			scenario(s)
		})
	}
}

// writer takes partition 0 as a new process.
func (s *target) writer() *guard.Sink {
	s.Helper()
	w, err := guarded.NewSink(s.store.Client(), []stream.TargetTable{lines}, s.options)
	s.ok(err)
	_, err = w.Open(s.Context(), origin.Flow, origin.Target)
	s.ok(err)
	held, err := w.Assign(s.Context(), 0, origin)
	s.ok(err)
	if held.TopicID == "" {
		s.ok(w.Adopt(s.Context(), 0, origin, 0))
	}
	return w
}

func (s *target) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *target) fenced(err error) {
	s.Helper()
	if err == nil || stream.KindOf(err) != stream.Fenced {
		s.Fatalf("got %v, want an error of kind fenced", err)
	}
}

// batch has one write a record: "key=text", or "key" for a delete; "" is a record of others.
func batch(from int64, writes ...string) stream.Batch {
	b := stream.Batch{From: from, To: from}
	for _, w := range writes {
		key, text, put := strings.Cut(w, "=")
		r := stream.RowWrite{RowID: stream.RowID{Table: "lines", Document: key}, Version: stream.Version{Generation: 1, Offset: b.To}, Delete: !put}
		if put {
			r.Columns, r.Lineage = []stream.Value{stream.StringOf(text)}, []byte("{}")
		}
		if b.To++; w != "" {
			b.Units = append(b.Units, stream.Unit{Document: key, Rows: []stream.RowWrite{r}})
		}
	}
	return b
}

// holds compares the target with "key=text@offset"s.
func (s *target) holds(want ...string) {
	s.Helper()
	var got []string
	s.ok(s.store.Client().Read(s.Context(), "lines", func(i guard.Item) error {
		got = append(got, fmt.Sprintf("%s=%s@%d", i.Document, i.Columns[0].Str(), i.Version.Offset))
		return nil
	}))
	if !slices.Equal(got, want) {
		s.Errorf("the target holds %q, want %q", got, want)
	}
}

// between has other carried out before the n-th put from now on.
func (s *target) between(n int64, other func()) {
	var puts atomic.Int64
	s.store.Inject(func(c guarded.Call) guarded.Fault {
		if c.Op == guarded.OpPut && puts.Add(1) == n {
			other()
		}
		return guarded.Fault{}
	})
}

// TestZombieBetweenCheckAndPut: a writer is stopped after it saw its epoch and before it puts; its successor goes on, then
// the request arrives. It loses to all that is newer, deletes included, and the writer learns that it is fenced.
func TestZombieBetweenCheckAndPut(t *testing.T) {
	each(t, func(s *target) {
		zombie := s.writer()
		s.ok(zombie.Apply(s.Context(), batch(0, "a=1", "b=1", "c=1")))
		late := batch(3, "a=2", "b=2", "c=2", "d=2")
		s.between(1, func() {
			heir := s.writer()
			s.ok(heir.Apply(s.Context(), late))
			s.ok(heir.Apply(s.Context(), batch(7, "a=3", "b", "d")))
		})
		s.fenced(zombie.Apply(s.Context(), late))
		s.holds("a=3@7", "c=2@5")
	})
}

// TestZombieBeforeItsSuccessorGetsThere: what the zombie puts is what its successor is about to put; a batch of the
// successor that ends before or within the zombie's takes nothing back.
func TestZombieBeforeItsSuccessorGetsThere(t *testing.T) {
	each(t, func(s *target) {
		zombie := s.writer()
		var heir *guard.Sink
		s.between(1, func() { heir = s.writer() })
		s.fenced(zombie.Apply(s.Context(), batch(0, "a=1", "b=1", "a=2", "b", "c=1", "c")))
		s.holds("a=2@2")
		s.ok(heir.Apply(s.Context(), batch(0, "a=1", "b=1")))
		s.ok(heir.Apply(s.Context(), batch(2, "a=2", "b", "c=1", "c")))
		s.holds("a=2@2")
	})
}

// TestZombieAndRebuild: a stale put of the version that a rebuild has just met must not make the row look unmet.
func TestZombieAndRebuild(t *testing.T) {
	each(t, func(s *target) {
		zombie := s.writer()
		s.ok(zombie.Apply(s.Context(), batch(0, "a=1")))
		var heir *guard.Sink
		s.between(1, func() {
			heir = s.writer()
			s.ok(heir.StartRebuild(s.Context(), 0, 2))
			s.ok(heir.Stage(s.Context(), batch(0, "a=1", "b=1")))
		})
		s.fenced(zombie.Apply(s.Context(), batch(1, "b=1")))
		s.ok(heir.Switch(s.Context(), 0, 2))
		s.holds("a=1@0", "b=1@1")
	})
}

// TestZombieAmidItsChunks looks at its epoch again once time has passed: a writer that slept sends nothing more.
func TestZombieAmidItsChunks(t *testing.T) {
	each(t, func(s *target) {
		s.options.Chunk = 1
		zombie := s.writer()
		s.between(2, func() {
			s.now = s.now.Add(time.Minute)
			s.ok(s.writer().Apply(s.Context(), batch(0, "a=1", "b=1", "c=1")))
		})
		s.fenced(zombie.Apply(s.Context(), batch(0, "a=zombie", "b=zombie", "c=zombie", "d=zombie")))
		s.holds("a=1@0", "b=1@1", "c=1@2")
	})
}

// TestTombstones stay while a stale writer may exist: an older put loses to them. Then they are collected.
func TestTombstones(t *testing.T) {
	each(t, func(s *target) {
		w := s.writer()
		s.ok(w.Apply(s.Context(), batch(0, "a=1", "b=1", "a")))
		s.tombstones(1)
		s.ok(w.Adopt(s.Context(), 0, origin, 0)) // everything is read again
		s.ok(w.Apply(s.Context(), batch(0, "a=1")))
		s.holds("b=1@1")
		s.ok(w.Apply(s.Context(), batch(1, "b=1", "a")))
		s.now = s.now.Add(guard.DefaultTombstoneAge - time.Minute)
		s.ok(w.Apply(s.Context(), batch(3, "")))
		s.tombstones(1)
		s.now = s.now.Add(guard.DefaultTombstoneAge)
		s.ok(w.StartRebuild(s.Context(), 0, 4))
		s.ok(w.Apply(s.Context(), batch(4, "")))
		s.tombstones(1) // not while a rebuild reads records that it guards against
		s.ok(w.Stage(s.Context(), batch(0, "", "b=1", "a", "")))
		s.ok(w.Switch(s.Context(), 0, 4))
		s.now = s.now.Add(2 * guard.DefaultTombstoneAge)
		s.ok(w.Apply(s.Context(), batch(5, "c=1")))
		s.tombstones(0)
		s.holds("b=1@1", "c=1@5")
	})
}

// tombstones counts what a put of version zero loses to, beyond the rows that readers see.
func (s *target) tombstones(want int) {
	s.Helper()
	if got := s.store.Tombstones("lines"); got != want {
		s.Fatalf("%d tombstones, want %d", got, want)
	}
}

// TestUnitsInOrder: rows are put in the order of the log, and what failed is put again before anything that follows it.
func TestUnitsInOrder(t *testing.T) {
	each(t, func(s *target) {
		s.options.Chunk = 2
		calls := 0
		s.store.Inject(func(c guarded.Call) guarded.Fault {
			if c.Op != guarded.OpPut {
				return guarded.Fault{}
			}
			calls++
			return guarded.Fault{FailItems: func(n int) bool { return calls < 4 && n == 0 }}
		})
		seen := []string{}
		watch := func() {
			_ = s.store.Client().Read(s.Context(), "lines", func(i guard.Item) error {
				if !slices.Contains(seen, i.Document) {
					seen = append(seen, i.Document)
				}
				return nil
			})
		}
		s.options.Now = func() time.Time { watch(); return s.now }
		w := s.writer()
		s.ok(w.Apply(s.Context(), batch(0, "d=1", "c=1", "b=1", "a=1", "a=2")))
		watch()
		if got := strings.Join(seen, ""); got != "cdab" { // c is seen while d is put again, nothing of the next put is
			t.Errorf("rows showed in the order %s", got)
		}
		s.holds("a=2@4", "b=1@2", "c=1@1", "d=1@0")
	})
}

// TestRestoredFromABackup: rows and places go back together; the delivery's next batch does not follow, and a new
// assignment goes on where the backup is.
func TestRestoredFromABackup(t *testing.T) {
	each(t, func(s *target) {
		w := s.writer()
		s.ok(w.Apply(s.Context(), batch(0, "a=1", "b=1")))
		backup, err := s.store.Client().Backup(s.Context())
		s.ok(err)
		s.ok(w.Apply(s.Context(), batch(2, "a", "b=2")))
		s.ok(s.store.Client().Restore(s.Context(), backup))
		s.fenced(w.Apply(s.Context(), batch(4, "c=1")))
		held, err := w.Assign(s.Context(), 0, origin)
		s.ok(err)
		if held.Next != 2 {
			t.Fatalf("next is %d after the restore, want 2", held.Next)
		}
		s.ok(w.Apply(s.Context(), batch(2, "a", "b=2", "c=1")))
		s.holds("b=2@3", "c=1@4")
	})
}

// haunted is a store with a row of another program's, which no put reaches.
type haunted struct{ guard.Store }

func (h haunted) Scan(ctx context.Context, table string, in guard.Range, limit int) ([]guard.Held, error) {
	held, err := h.Store.Scan(ctx, table, in, limit)
	return append(held, guard.Held{RowID: stream.RowID{Table: table, Document: "none", Key: "k"}}), err
}

// TestRowThatNoPutReaches: a rebuild does not go on for ever about it, but says which row it is.
func TestRowThatNoPutReaches(t *testing.T) {
	each(t, func(s *target) {
		w, err := guard.New(haunted{s.store.Client()}, guard.TablesOf([]stream.TargetTable{lines}), s.options)
		s.ok(err)
		_, err = w.Open(s.Context(), origin.Flow, origin.Target)
		s.ok(err)
		_, err = w.Assign(s.Context(), 0, origin)
		s.ok(err)
		s.ok(w.Adopt(s.Context(), 0, origin, 0))
		s.ok(w.Apply(s.Context(), batch(0, "a=1")))
		s.ok(w.StartRebuild(s.Context(), 0, 1))
		s.ok(w.Stage(s.Context(), batch(0, "a=1")))
		if err = w.Switch(s.Context(), 0, 1); stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), `row "k" of document none`) {
			t.Errorf("got %v", err)
		}
	})
}
