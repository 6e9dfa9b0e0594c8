package postgres_test

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

var origin = stream.Origin{Flow: "handbook", Target: "search", TopicID: "topic-1", Generation: 1}

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
	open(t, sink)
	must(t, sink.Adopt(t.Context(), 0, origin, 0))
}

// open opens the sink and takes partition 0 as it is.
func open(t testing.TB, sink stream.Sink) stream.Applied {
	t.Helper()
	_, err := sink.Open(t.Context(), origin.Flow, origin.Target)
	must(t, err)
	a, err := sink.Assign(t.Context(), 0, origin)
	must(t, err)
	return a
}

func texts(t testing.TB, sink stream.Sink) map[string]string {
	t.Helper()
	var out map[string]string
	must(t, insist(func() error {
		out = map[string]string{}
		return sink.(stream.Reader).ReadRows(t.Context(), "notes", func(r stream.RowWrite) error {
			out[r.Document] = r.Columns[0].Str()
			return nil
		})
	}))
	return out
}

func wantTexts(t testing.TB, sink stream.Sink, want map[string]string) {
	t.Helper()
	if got := texts(t, sink); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("rows %v, want %v", got, want)
	}
}

func wantKind(t testing.TB, err error, kind stream.ErrorKind) {
	t.Helper()
	if err == nil || stream.KindOf(err) != kind {
		t.Fatalf("error %v of kind %s, want %s", err, stream.KindOf(err), kind)
	}
}

// TestDeleteDuringRebuild: a deletion that only the live table saw is not undone by the switch.
func TestDeleteDuringRebuild(t *testing.T) {
	ctx := t.Context()
	sink := newSchema(t).sink(t, notes)
	begin(t, sink)
	must(t, sink.Apply(ctx, batch(0, note(0, "a", "A"), note(1, "b", "B"))))
	must(t, sink.StartRebuild(ctx, 0, 2))
	must(t, sink.Apply(ctx, batch(2, gone(2, "a"), gone(3, "b"), note(4, "b", "again"))))
	must(t, sink.Stage(ctx, batch(0, note(0, "a", "A"), note(1, "b", "B"))))
	must(t, sink.Switch(ctx, 0, 2))
	wantTexts(t, sink, map[string]string{"b": "again"})
}

// TestRebuildThatEndsEarly: a deletion between the rebuild's end and the offset already reached is applied once more.
func TestRebuildThatEndsEarly(t *testing.T) {
	ctx := t.Context()
	sink := newSchema(t).sink(t, notes)
	begin(t, sink)
	records := []stream.RowWrite{note(0, "a", "A"), gone(1, "a"), note(2, "b", "B")}
	must(t, sink.Apply(ctx, batch(0, records...)))
	must(t, sink.StartRebuild(ctx, 0, 1))
	must(t, sink.Stage(ctx, batch(0, records[:1]...)))
	must(t, sink.Switch(ctx, 0, 1))
	wantKind(t, sink.Apply(ctx, batch(3, note(3, "c", "C"))), stream.Fenced)
	a, err := sink.Assign(ctx, 0, origin)
	must(t, err)
	if a.Next != 1 {
		t.Fatalf("next is %d, want 1", a.Next)
	}
	must(t, sink.Apply(ctx, batch(1, records[1:]...)))
	wantTexts(t, sink, map[string]string{"b": "B"})
}

// TestAssignWaitsForZombie: a zombie in the middle of its transaction holds the partition's row; the heir sees what it
// commits, and the zombie nothing more after that (S5).
func TestAssignWaitsForZombie(t *testing.T) {
	ctx := t.Context()
	s := newSchema(t)
	heir := s.sink(t, notes)
	begin(t, heir)
	tx, err := s.conn.Begin(ctx) // acts as the zombie does
	must(t, err)
	_, err = tx.Exec(ctx, "update "+s.id("_freshet_offsets")+" set next = 7 where epoch = 1")
	must(t, err)
	assigned := make(chan stream.Applied, 1)
	go func() {
		a, _ := heir.Assign(ctx, 0, origin)
		assigned <- a
	}()
	watcher := connect(t, s.url)
	waitFor(t, func() bool {
		var waiting bool
		must(t, watcher.QueryRow(ctx, "select exists (select 1 from pg_locks l join pg_stat_activity a using (pid) where not l.granted "+
			"and position($1 in a.query) > 0 and a.pid <> pg_backend_pid())", s.name).Scan(&waiting))
		return waiting
	})
	select {
	case a := <-assigned:
		t.Fatalf("assigned %+v while the zombie was writing", a)
	default:
	}
	must(t, tx.Commit(ctx))
	if a := <-assigned; a.Next != 7 {
		t.Fatalf("assigned %+v, want what the zombie committed", a)
	}
}

// waitFor asks until yes says so.
func waitFor(t testing.TB, yes func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(20 * time.Second); !yes(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("waited 20 s in vain")
		}
	}
}

// TestLostCommit cuts the connection before the answer to COMMIT arrives (S4): a batch that was committed is not written
// twice, one that was not is written when it is tried again.
func TestLostCommit(t *testing.T) {
	for name, way := range map[string]struct{ arrives, outage bool }{
		"committed":                    {arrives: true},
		"not committed":                {},
		"committed, server away after": {arrives: true, outage: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			s := newSchema(t)
			link := newLink(t, s.url)
			sink, err := newSink(link.url, s.name, notes)
			must(t, err)
			t.Cleanup(func() { _ = sink.Close() })
			begin(t, sink)
			must(t, sink.Apply(ctx, batch(0, note(0, "a", "A"))))
			link.cutAtCommit(way.arrives, way.outage)
			b := batch(1, note(1, "a", "AA"), note(2, "b", "B"))
			err = sink.Apply(ctx, b)
			if way.arrives && !way.outage {
				must(t, err) // found out at once
			} else {
				wantKind(t, err, stream.Transient)
				link.restore()
				must(t, sink.Apply(ctx, b))
			}
			must(t, sink.Apply(ctx, batch(3, gone(3, "a"))))
			wantTexts(t, sink, map[string]string{"b": "B"})
		})
	}
}

// TestKillServer kills the server while batches are written. The sink goes on with the same batches when it is back;
// everything that was acknowledged is there.
func TestKillServer(t *testing.T) {
	ctx := t.Context()
	server := testenv.Postgres(t)
	sink, err := newSink(server.URL(), "kept", notes)
	must(t, err)
	defer sink.Close()
	begin(t, sink)
	const batches, kills = 60, 3
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
	var held stream.Applied
	must(t, insist(func() (err error) { held, err = sink.Assign(ctx, 0, origin); return err }))
	if held.Next != 2*batches {
		t.Fatalf("next is %d, want %d", held.Next, 2*batches)
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
