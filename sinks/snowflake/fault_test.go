package snowflake_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

var notes = stream.TargetTable{Table: stream.Table{Name: "notes", Columns: []stream.Field{{Name: "text", Type: stream.TypeString}}}}

var origin = stream.Origin{Flow: "handbook", Target: "warehouse", TopicID: "topic-1", Generation: 1}

func note(offset int64, document, text string) stream.RowWrite {
	return stream.RowWrite{RowID: stream.RowID{Table: "notes", Document: document}, Columns: []stream.Value{stream.StringOf(text)},
		Version: stream.Version{Generation: 1, Offset: offset}}
}

func gone(offset int64, document string) stream.RowWrite {
	return stream.RowWrite{RowID: stream.RowID{Table: "notes", Document: document}, Delete: true,
		Version: stream.Version{Generation: 1, Offset: offset}}
}

// batch holds one unit a row, in [from, from+len).
func batch(from int64, rows ...stream.RowWrite) stream.Batch {
	b := stream.Batch{From: from, To: from + int64(len(rows))}
	for _, r := range rows {
		b.Units = append(b.Units, stream.Unit{Document: r.Document, Rows: []stream.RowWrite{r}})
	}
	return b
}

// begin opens the sink and takes partition 0 of an empty target.
func begin(t testing.TB, sink stream.Sink) {
	t.Helper()
	_, err := sink.Open(t.Context(), origin.Flow, origin.Target)
	must(t, err)
	_, err = sink.Assign(t.Context(), 0, origin)
	must(t, err)
	must(t, sink.Adopt(t.Context(), 0, origin, 0))
}

func wantTexts(t testing.TB, sink stream.Sink, want map[string]string) {
	t.Helper()
	var got map[string]string
	must(t, insist(func() error {
		got = map[string]string{}
		return sink.(stream.Reader).ReadRows(t.Context(), "notes", func(r stream.RowWrite) error {
			got[r.Document] = r.Columns[0].Str()
			return nil
		})
	}))
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("rows %v, want %v", got, want)
	}
}

func wantKind(t testing.TB, err error, kind stream.ErrorKind) {
	t.Helper()
	if err == nil || stream.KindOf(err) != kind {
		t.Fatalf("error %v of kind %s, want %s", err, stream.KindOf(err), kind)
	}
}

// insist tries again while the failure is transient, as the engine does.
func insist(try func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil || stream.KindOf(err) != stream.Transient {
			return err
		}
		<-tick.C
	}
}

// waitFor asks until yes says so.
func waitFor(t testing.TB, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(2 * time.Minute); !yes(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited 2 min in vain")
		}
	}
}

// TestLostCommit cuts the connection before the answer to COMMIT arrives (S4): a batch that was committed is not written
// twice, one that was not is written when it is tried again.
func TestLostCommit(t *testing.T) {
	for name, mode := range map[string]int32{"committed": cutAfter, "not committed": cutBefore, "committed, server away after": cutAfterAndStay} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := newSchema(t)
			link := newLink(t, s.url)
			sink, err := newSink(link.url, s.name, notes)
			must(t, err)
			t.Cleanup(func() { must(t, sink.Close()) })
			begin(t, sink)
			must(t, sink.Apply(ctx, batch(0, note(0, "a", "A"))))
			link.mode.Store(mode)
			b := batch(1, note(1, "a", "AA"), note(2, "b", "B"))
			wantKind(t, sink.Apply(ctx, b), stream.Transient)
			if mode == cutAfterAndStay {
				wantKind(t, sink.Apply(ctx, b), stream.Transient)
			}
			link.mode.Store(whole)
			must(t, insist(func() error { return sink.Apply(ctx, b) }))
			must(t, sink.Apply(ctx, batch(3, gone(3, "a"))))
			wantTexts(t, sink, map[string]string{"b": "B"})
		})
	}
}

// TestZombieInTransaction: while a zombie holds the partition's row in an open transaction, nobody takes the partition; when it is rolled
// back, the heir does.
func TestZombieInTransaction(t *testing.T) {
	ctx := t.Context()
	s := newSchema(t)
	link := newLink(t, s.url)
	heir, err := newSink(link.url, s.name, notes)
	must(t, err)
	t.Cleanup(func() { must(t, heir.Close()) })
	begin(t, heir)
	zombie, err := s.db.Conn(ctx)
	must(t, err)
	defer zombie.Close()
	for _, sql := range []string{"BEGIN", "UPDATE " + s.id("_freshet_places") + ` SET "turn" = "turn" + 1, "next" = 7 WHERE "epoch" = 1`} {
		_, err := zombie.ExecContext(ctx, sql)
		must(t, err)
	}
	before := link.begun.Load()
	assigned := make(chan stream.Applied, 1)
	go func() {
		var a stream.Applied
		_ = insist(func() (err error) { a, err = heir.Assign(ctx, 0, origin); return err })
		assigned <- a
	}()
	waitFor(t, func() bool { return link.begun.Load() >= before+4 }) // the heir tries again and again
	select {
	case a := <-assigned:
		t.Fatalf("assigned %+v while the zombie was writing", a)
	default:
	}
	_, err = zombie.ExecContext(ctx, "COMMIT")
	must(t, err)
	if a := <-assigned; a.Next != 7 {
		t.Fatalf("assigned %+v, want what the zombie committed", a)
	}
}

// TestLateStatement holds a MERGE back until its row was written by another attempt and deleted again: it does not come true then, by itself and
// past the fence.
func TestLateStatement(t *testing.T) {
	ctx := t.Context()
	s := newSchema(t)
	link := newLink(t, s.url)
	sink, err := newSink(link.url, s.name, notes)
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	begin(t, sink)
	link.mode.Store(holdMerge)
	b := batch(0, note(0, "a", "A"))
	wantKind(t, sink.Apply(ctx, b), stream.Transient)
	must(t, insist(func() error { return sink.Apply(ctx, b) }))
	must(t, sink.Apply(ctx, batch(1, gone(1, "a"))))
	must(t, link.late())
	wantTexts(t, sink, map[string]string{})
}

// TestLateReplacement: of two that make a table anew, the one that stood still meanwhile does not replace what the other filled.
func TestLateReplacement(t *testing.T) {
	ctx := t.Context()
	s := newSchema(t)
	old := s.sink(t, notes)
	begin(t, old)
	must(t, old.Apply(ctx, batch(0, note(0, "a", "A"))))
	link := newLink(t, s.url)
	wider := tableOf("notes", column("text", stream.TypeString), column("more", stream.TypeString))
	late, err := newSink(link.url, s.name, wider)
	must(t, err)
	t.Cleanup(func() { must(t, late.Close()) })
	first := s.sink(t, wider)
	for _, sink := range []stream.Sink{late, first} {
		changed, err := sink.Open(ctx, origin.Flow, origin.Target)
		must(t, err)
		if len(changed) != 1 {
			t.Fatalf("changed: %v", changed)
		}
	}
	link.mode.Store(pauseAfterCommit)
	ended := make(chan error, 1)
	go func() { ended <- late.Recreate(ctx, []string{"notes"}) }()
	waitFor(t, func() bool { return link.mode.Load() == paused })
	must(t, first.Recreate(ctx, []string{"notes"}))
	_, err = first.Assign(ctx, 0, origin)
	must(t, err)
	row := note(0, "a", "A")
	row.Columns = append(row.Columns, stream.StringOf("more"))
	must(t, first.Stage(ctx, batch(0, row)))
	must(t, first.Switch(ctx, 0, 1))
	close(link.gate)
	must(t, <-ended)
	wantTexts(t, first, map[string]string{"a": "A"})
}

// TestKillServer kills the server while batches are written. The sink goes on with the same batches when it is back;
// everything that was acknowledged is there.
func TestKillServer(t *testing.T) {
	ctx := t.Context()
	t.Setenv("FRESHET_TEST_PASSWORD", "pw")
	server := testenv.Snowflake(t, testenv.SnowflakeOptions{Kept: true})
	sink, err := newSink(server.URL(), "KEPT", notes)
	must(t, err)
	defer sink.Close()
	begin(t, sink)
	const batches, kills = 24, 2
	var applied atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range int64(batches) {
			b := batch(2*n, note(2*n, fmt.Sprintf("doc %d", n%7), fmt.Sprint(n)), gone(2*n+1, fmt.Sprintf("doc %d", (n+1)%7)))
			if err := insist(func() error { return sink.Apply(ctx, b) }); err != nil {
				t.Errorf("batch %d: %v (kind %s)", n, err, stream.KindOf(err))
				return
			}
			applied.Store(n + 1)
		}
	})
	for k := range int64(kills) {
		waitFor(t, func() bool { return applied.Load() >= (k+1)*batches/(kills+1) || t.Failed() })
		server.Kill()
		server.Start(t)
	}
	wg.Wait()
	want := map[string]string{}
	for n := range batches {
		want[fmt.Sprintf("doc %d", n%7)] = fmt.Sprint(n)
		delete(want, fmt.Sprintf("doc %d", (n+1)%7))
	}
	wantTexts(t, sink, want)
	held, err := sink.(stream.Inspector).Inspect(ctx, 0)
	must(t, err)
	if held.Next != 2*batches {
		t.Fatalf("next is %d, want %d", held.Next, 2*batches)
	}
}

// TestClose: nothing of the sink outlives Close.
func TestClose(t *testing.T) {
	s := newSchema(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	sink, err := newSink(s.url, s.name, notes)
	must(t, err)
	begin(t, sink)
	must(t, sink.Apply(t.Context(), batch(0, note(0, "a", "A"))))
	must(t, sink.Close())
	must(t, sink.Close())
	wantKind(t, sink.Apply(t.Context(), batch(1, note(1, "a", "A"))), stream.Internal)
}
