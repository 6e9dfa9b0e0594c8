package lancedb_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

var origin = stream.Origin{Flow: "f", Target: "t", TopicID: "topic", Generation: 1}

var notes = stream.Table{Name: "notes", Columns: []stream.Field{
	{Name: "text", Type: stream.TypeString}, {Name: "vector", Type: stream.VectorType(stream.F32, 2).OrNull()}}}

// writer holds partition 0 of a target with the table notes.
type writer struct {
	*testing.T
	sink stream.Sink
	next int64
}

// writer begins on an empty target, or takes over.
func (p place) writer(t *testing.T, more ...stream.Entry) *writer {
	t.Helper()
	sink, err := p.sink([]stream.TargetTable{{Table: notes}}, more...)
	must(t, err)
	w := &writer{T: t, sink: sink}
	t.Cleanup(func() { must(t, w.sink.Close()) })
	_, err = w.sink.Open(t.Context(), origin.Flow, origin.Target)
	must(t, err)
	w.take()
	return w
}

// take takes the partition and goes on where the target says.
func (w *writer) take() {
	w.Helper()
	var held stream.Applied
	until(w, func() (err error) {
		held, err = w.sink.Assign(w.Context(), 0, origin)
		return err
	})
	if w.next = held.Next; held.TopicID == "" {
		must(w, w.sink.Adopt(w.Context(), 0, origin, 0))
	}
}

// batch has one write a record: "document=text", or "document" for a delete.
func (w *writer) batch(writes ...string) stream.Batch {
	b := stream.Batch{From: w.next, To: w.next}
	for _, write := range writes {
		document, text, put := strings.Cut(write, "=")
		r := stream.RowWrite{RowID: stream.RowID{Table: "notes", Document: document}, Version: stream.Version{Generation: 1, Offset: b.To}, Delete: !put}
		if put {
			r.Columns, r.Lineage = []stream.Value{stream.StringOf(text), stream.VectorOf([]float32{3, 4})}, []byte("{}")
		}
		b.Units = append(b.Units, stream.Unit{Document: document, Rows: []stream.RowWrite{r}})
		b.To++
	}
	return b
}

func (w *writer) apply(writes ...string) {
	w.Helper()
	b := w.batch(writes...)
	must(w, w.sink.Apply(w.Context(), b))
	w.next = b.To
}

// rebuild reads all records again.
func (w *writer) rebuild(writes ...string) {
	w.Helper()
	end := int64(len(writes))
	must(w, w.sink.StartRebuild(w.Context(), 0, end))
	w.next = 0
	must(w, w.sink.Stage(w.Context(), w.batch(writes...)))
	must(w, w.sink.Switch(w.Context(), 0, end))
	w.next = end
}

// holds compares the target with "document=text@offset"s.
func (w *writer) holds(want ...string) {
	w.Helper()
	var got []string
	must(w, w.sink.(stream.Reader).ReadRows(w.Context(), "notes", func(r stream.RowWrite) error {
		got = append(got, fmt.Sprintf("%s=%s@%d", r.Document, r.Columns[0].Str(), r.Version.Offset))
		return nil
	}))
	if !slices.Equal(got, want) {
		w.Errorf("the target holds %q, want %q", got, want)
	}
}

// until repeats what fails for a time.
func until(t testing.TB, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if stream.KindOf(err) != stream.Transient {
			t.Fatal(err)
		}
		<-tick.C
	}
}
