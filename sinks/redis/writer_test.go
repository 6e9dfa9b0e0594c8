package redis_test

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

// writer holds partition 0 of a target with one table.
type writer struct {
	*testing.T
	sink  stream.Sink
	table stream.Table
	next  int64
}

// writer begins on an empty target, or takes over.
func (p place) writer(t *testing.T, table stream.TargetTable, more ...stream.Entry) *writer {
	t.Helper()
	w := &writer{T: t, table: table.Table}
	var err error
	w.sink, err = p.sink([]stream.TargetTable{table}, more...)
	must(t, err)
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

// batch has one write a record: "document=text", or "document" for a delete; a document "a/k" is the row k of document a.
func (w *writer) batch(writes ...string) stream.Batch {
	b := stream.Batch{From: w.next, To: w.next}
	for _, write := range writes {
		document, text, put := strings.Cut(write, "=")
		r := stream.RowWrite{RowID: stream.RowID{Table: w.table.Name}, Version: stream.Version{Generation: 1, Offset: b.To}, Delete: !put}
		r.Document, r.Key, _ = strings.Cut(document, "/")
		if put {
			r.Columns, r.Lineage = []stream.Value{stream.StringOf(text), stream.VectorOf([]float32{3, 4})}, []byte("{}")
		}
		b.Units = append(b.Units, stream.Unit{Document: r.Document, Rows: []stream.RowWrite{r}})
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

// holds compares the target with "document=text@offset"s.
func (w *writer) holds(want ...string) {
	w.Helper()
	var got []string
	must(w, w.sink.(stream.Reader).ReadRows(w.Context(), w.table.Name, func(r stream.RowWrite) error {
		name := r.Document
		if r.Key != "" {
			name += "/" + r.Key
		}
		got = append(got, fmt.Sprintf("%s=%s@%d", name, r.Columns[0].Str(), r.Version.Offset))
		return nil
	}))
	if !slices.Equal(got, want) {
		w.Errorf("the target holds %q, want %q", got, want)
	}
}

// wants demands the class of an error and what it says.
func (w *writer) wants(err error, kind stream.ErrorKind, says ...string) {
	w.Helper()
	wants(w, err, kind, says...)
}

func wants(t testing.TB, err error, kind stream.ErrorKind, says ...string) {
	t.Helper()
	if err == nil || stream.KindOf(err) != kind {
		t.Fatalf("got %v (kind %s), want an error of kind %s", err, stream.KindOf(err), kind)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			t.Fatalf("the error %q does not say %q", err, text)
		}
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
