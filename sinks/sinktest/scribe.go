package sinktest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Origin is what scribes follow.
var Origin = stream.Origin{Flow: "f", Target: "t", TopicID: "topic", Generation: 1}

// Notes is a table that scribes write to.
var Notes = stream.Table{Name: "notes", Columns: []stream.Field{
	{Name: "text", Type: stream.TypeString}, {Name: "vector", Type: stream.VectorType(stream.F32, 2).OrNull()}}}

// Scribe holds partition 0 of a target and writes to it, for a sink's own tests: of requests that come late, servers that are killed, edits
// by hand.
type Scribe struct {
	*testing.T
	Sink  stream.Sink
	Table stream.Table // of Batch and Holds, with the columns of Notes
	Next  int64        // offset of the record that is written next
}

// NewScribe opens a sink, which it closes when the test ends, and begins on an empty target, or takes over.
func NewScribe(t *testing.T, sink stream.Sink, table stream.Table) *Scribe {
	t.Helper()
	w := &Scribe{T: t, Sink: sink, Table: table}
	t.Cleanup(func() { noError(t, sink.Close(), "close") })
	_, err := sink.Open(t.Context(), Origin.Flow, Origin.Target)
	noError(t, err, "open")
	w.Take()
	return w
}

// Take takes the partition and goes on where the target says.
func (w *Scribe) Take() {
	w.Helper()
	var held stream.Applied
	Until(w, func() (err error) {
		held, err = w.Sink.Assign(w.Context(), 0, Origin)
		return err
	})
	if w.Next = held.Next; held.TopicID == "" {
		noError(w, w.Sink.Adopt(w.Context(), 0, Origin, 0), "adopt")
	}
}

// Batch has one write a record: "document=text", or "document" for a delete; a document "a/k" is the row k of document a.
func (w *Scribe) Batch(writes ...string) stream.Batch {
	b := stream.Batch{From: w.Next, To: w.Next}
	for _, write := range writes {
		document, text, put := strings.Cut(write, "=")
		r := stream.RowWrite{RowID: stream.RowID{Table: w.Table.Name}, Version: stream.Version{Generation: 1, Offset: b.To}, Delete: !put}
		r.Document, r.Key, _ = strings.Cut(document, "/")
		if put {
			r.Columns, r.Lineage = []stream.Value{stream.StringOf(text), stream.VectorOf([]float32{3, 4})}, []byte("{}")
		}
		b.Units = append(b.Units, stream.Unit{Document: r.Document, Rows: []stream.RowWrite{r}})
		b.To++
	}
	return b
}

// Apply writes a batch.
func (w *Scribe) Apply(writes ...string) {
	w.Helper()
	b := w.Batch(writes...)
	noError(w, w.Sink.Apply(w.Context(), b), "apply")
	w.Next = b.To
}

// Rebuild reads all records again.
func (w *Scribe) Rebuild(writes ...string) {
	w.Helper()
	end := int64(len(writes))
	noError(w, w.Sink.StartRebuild(w.Context(), 0, end), "start rebuild")
	w.Next = 0
	noError(w, w.Sink.Stage(w.Context(), w.Batch(writes...)), "stage")
	noError(w, w.Sink.Switch(w.Context(), 0, end), "switch")
	w.Next = end
}

// Holds compares the target with "document=text@offset"s.
func (w *Scribe) Holds(want ...string) {
	w.Helper()
	var got []string
	err := w.Sink.(stream.Reader).ReadRows(w.Context(), w.Table.Name, func(r stream.RowWrite) error {
		name := r.Document
		if r.Key != "" {
			name += "/" + r.Key
		}
		got = append(got, fmt.Sprintf("%s=%s@%d", name, r.Columns[0].Str(), r.Version.Offset))
		return nil
	})
	if noError(w, err, "read rows"); !slices.Equal(got, want) {
		w.Errorf("the target holds %q, want %q", got, want)
	}
}

// Until repeats what is transient until it succeeds.
func Until(t testing.TB, try func() error) {
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
