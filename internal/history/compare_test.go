package history_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/stream"
)

// shelf is a target in memory.
type shelf struct {
	stream.Sink
	rows []stream.RowWrite
}

func (s shelf) ReadRows(_ context.Context, _ string, each func(stream.RowWrite) error) error {
	for _, r := range s.rows {
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

func (s shelf) Apply(context.Context, stream.Batch) error { return nil }

func row(doc, key string, f ...float32) stream.RowWrite {
	return stream.RowWrite{RowID: stream.RowID{Table: "t", Document: doc, Key: key}, Columns: []stream.Value{stream.VectorOf(f), stream.StringOf(key)}}
}

func TestCompare(t *testing.T) {
	one := shelf{rows: []stream.RowWrite{row("a", "1", 1, 2), row("a", "2", 1, 2), row("q", "1", 3, 4)}}
	for name, c := range map[string]struct {
		other   []stream.RowWrite
		without []string
		want    string
	}{
		"equal":    {one.rows, nil, "3 rows, no difference"},
		"missing":  {append(slices.Clone(one.rows), row("b", "1", 0, 0)), nil, `3 rows; 1 missing, 0 surplus, 0 different, such as: missing b key "1"`},
		"surplus":  {one.rows[1:], nil, `3 rows; 0 missing, 1 surplus, 0 different, such as: surplus a key "1"`},
		"changed":  {append(slices.Clone(one.rows[1:]), row("a", "1", 1, 3)), nil, `3 rows; 0 missing, 0 surplus, 1 different, such as: different a key "1"`},
		"left out": {one.rows[:2], []string{"q"}, "2 rows, no difference"},
	} {
		got, err := history.Compare(t.Context(), "t", one, shelf{rows: c.other}, c.without)
		if err != nil || got.String() != c.want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, c.want)
		}
	}
	var v history.Vectors
	if err := v.Read(t.Context(), "t", one); err != nil || v.All != 24 || v.Distinct != 16 {
		t.Errorf("vectors %+v, %v", v, err)
	}
}

func TestCheck(t *testing.T) {
	var c history.Check
	if all := c.Quarantine([]string{"a", "b"}, []string{"b"}); !slices.Equal(all, []string{"a", "b"}) || c.OK() || c.Quarantined != 2 {
		t.Errorf("%v, %+v", all, c)
	}
	if c := (history.Check{Again: history.Again{Rows: 1}}); c.OK() {
		t.Error("rows of the last state, published again, are a difference")
	}
	if c := (history.Check{Tables: map[string]history.Difference{"t": {Missing: 1}}}); c.OK() {
		t.Error("a missing row is a difference")
	}
	if !(&history.Check{Tables: map[string]history.Difference{"t": {Rows: 1}}}).OK() {
		t.Error("equal tables are no difference")
	}
}

// TestFreshness: what is shown before the first commit has no clock; a change is fresh when the last target has it.
func TestFreshness(t *testing.T) {
	f := history.NewFreshness(2)
	spec := f.Watch(stream.SinkSpec{New: func(stream.SinkConfig) (stream.Sink, error) { return shelf{}, nil }})
	sink, err := spec.New(stream.SinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	show := func(docs ...string) {
		var b stream.Batch
		for _, d := range docs {
			b.Units = append(b.Units, stream.Unit{Document: d})
		}
		if err := sink.Apply(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	show("early", "early")
	f.Begin()
	show("a", "b")
	if f.Quantile(0.5) != 0 {
		t.Error("one of two targets is enough")
	}
	show("a")
	if d := f.Quantile(0.99); d <= 0 || d > time.Minute {
		t.Errorf("p99 %s", d)
	}
}
