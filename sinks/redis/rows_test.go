package redis_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/redis"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestReadable: a feature server that knows the name of a hash finds plain fields.
func TestReadable(t *testing.T) {
	p := newPlace(t, testenv.SharedRedis(t))
	table := stream.Table{Name: "users", Columns: []stream.Field{
		{Name: "active", Type: stream.TypeBool}, {Name: "embedding", Type: stream.VectorType(stream.F32, 2)}, {Name: "none", Type: stream.TypeInt.OrNull()},
		{Name: "ratio", Type: stream.TypeDouble}, {Name: "seen", Type: stream.TypeTimestamp}, {Name: "tags", Type: stream.ListType(stream.TypeString)},
		{Name: "visits", Type: stream.TypeInt}}}
	w := p.scribe(t, stream.TargetTable{Table: table})
	r := stream.RowWrite{RowID: stream.RowID{Table: "users", Document: "user/4:2"}, Lineage: []byte("{}"), Version: stream.Version{Generation: 1},
		Columns: []stream.Value{stream.BoolOf(true), stream.VectorOf([]float32{1, -2}), {}, stream.DoubleOf(0.25),
			stream.TimestampOf(time.Date(2026, 11, 27, 9, 30, 0, 5e8, time.UTC)), stream.ListOf(stream.StringOf("a"), stream.StringOf("b")), stream.IntOf(17)}}
	must(t, w.Sink.Apply(t.Context(), stream.Batch{To: 1, Units: []stream.Unit{{Document: r.Document, Rows: []stream.RowWrite{r}}}}))

	got, err := p.client.Do(t.Context(), p.client.B().Hgetall().Key(p.prefix+":users:user/4%3A2").Build()).AsStrMap()
	must(t, err)
	maps.DeleteFunc(got, func(field, _ string) bool { return field == "_epoch" })
	want := map[string]string{"active": "true", "embedding": "\x00\x00\x80\x3f\x00\x00\x00\xc0", "ratio": "0.25", "seen": "2026-11-27T09:30:00.5Z",
		"tags": `["a","b"]`, "visits": "17", "_document": "user/4:2", "_key": "", "_lineage": "{}", "_partition": "0",
		"_version": fmt.Sprint(stream.Version{Generation: 1}.Pack())}
	if !maps.Equal(got, want) {
		t.Errorf("the hash holds %q, want %q", got, want)
	}
}

// TestTombstone: a deleted row leaves nothing under its name or its table's, yet an older write loses, and so does one to a row that somebody copied by hand.
func TestTombstone(t *testing.T) {
	p := newPlace(t, testenv.SharedRedis(t))
	w := p.scribe(t, plain)
	w.Apply("a=one", "b=one")
	w.Apply("a")
	if names := p.keys(t, p.prefix+":notes:"); !slices.Equal(names, []string{p.prefix + ":notes:b"}) {
		t.Fatalf("readers see %q", names)
	}
	must(t, w.Sink.Adopt(t.Context(), 0, sinktest.Origin, 0))
	w.Next = 0
	w.Apply("a=older")
	w.Holds("b=one@1")

	must(t, p.client.Do(t.Context(), p.client.B().Copy().Source(p.prefix+":notes:b").Destination(p.prefix+":notes:a").Build()).Error())
	w.Holds("a=one@1", "b=one@1")
	must(t, w.Sink.StartRebuild(t.Context(), 0, 3))
	w.Next = 0
	b := w.Batch("a=older", "b=one", "a")
	must(t, w.Sink.Stage(t.Context(), b))
	must(t, w.Sink.Switch(t.Context(), 0, 3))
	w.Holds("b=one@1")
}

// TestManyColumns: more fields than a script can hand over at once.
func TestManyColumns(t *testing.T) {
	const columns = 6000
	table := stream.Table{Name: "wide"}
	r := stream.RowWrite{RowID: stream.RowID{Table: "wide", Document: "a"}, Version: stream.Version{Generation: 1}, Lineage: []byte("{}")}
	for n := range columns {
		table.Columns = append(table.Columns, stream.Field{Name: fmt.Sprintf("c%05d", n), Type: stream.TypeInt})
		r.Columns = append(r.Columns, stream.IntOf(int64(n)))
	}
	w := newPlace(t, testenv.SharedRedis(t)).scribe(t, stream.TargetTable{Table: table})
	must(t, w.Sink.Apply(t.Context(), stream.Batch{To: 1, Units: []stream.Unit{{Document: "a", Rows: []stream.RowWrite{r}}}}))
	must(t, w.Sink.(stream.Reader).ReadRows(t.Context(), "wide", func(got stream.RowWrite) error {
		for n, v := range got.Columns {
			if v.Int() != int64(n) {
				return fmt.Errorf("column %d holds %v", n, v)
			}
		}
		return nil
	}))
}

// TestWrongKey: what is no hash where a row belongs is one error that names what to do.
func TestWrongKey(t *testing.T) {
	p := newPlace(t, testenv.SharedRedis(t))
	w := p.scribe(t, plain)
	must(t, p.client.Do(t.Context(), p.client.B().Set().Key(p.prefix+":notes:a").Value("theirs").Build()).Error())
	wants(t, w.Sink.Apply(t.Context(), w.Batch("a=one")), stream.Usage, "is no hash: remove it")
}

// TestRefusals: what can't be is one error that says so, before anything is sent, and holds no password.
func TestRefusals(t *testing.T) {
	of := func(name string) stream.Table {
		return stream.Table{Name: "t", Columns: []stream.Field{{Name: name, Type: stream.TypeInt}}}
	}
	for want, c := range map[string]struct {
		p     place
		table stream.Table
	}{
		"setting url is missing": {p: place{}},
		"holds a colon":          {p: place{url: "redis://h", prefix: "a:b"}},
		"a meaning of its own":   {p: place{url: "redis://h"}, table: of("_version")},
		"are for bookkeeping":    {p: place{url: "redis://h"}, table: stream.Table{Name: "_freshet"}},
	} {
		_, err := c.p.sink([]stream.TargetTable{{Table: c.table}})
		wants(t, err, stream.Usage, want)
	}
	for _, url := range []string{"http://host", "redis://", "redis://user:pass-word@host/a", "rediss://user:pass-word@host/0?x=1", "redis://user:pass-word@ho st"} {
		sink, err := place{url: url}.sink(nil)
		must(t, err)
		_, err = sink.Open(t.Context(), "f", "t")
		if wants(t, err, stream.Usage, "redis://host:6379/0"); strings.Contains(err.Error(), "pass-word") {
			t.Errorf("opening %s gives %v", url, err)
		}
	}
	if g := redis.Spec().Guarantees; g.Transactional || g.AtomicDocuments {
		t.Errorf("scripts are bounded, but the guarantees are %+v", g)
	}
}
