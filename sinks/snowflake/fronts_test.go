package snowflake_test

import (
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestLostView: the answer to the statement that switches a view is lost, and the flow goes back to what was shown before: the view shows that.
func TestLostView(t *testing.T) {
	s := newSchema(t)
	link := newLink(t, s.url)
	var tables []stream.TargetTable
	for n := range int64(2) {
		e := stream.TargetTable{Table: notes.Table, Front: "notes"}
		e.Table.Name = stream.EditionName("notes", n+1)
		tables = append(tables, e)
	}
	sink, err := newSink(link.url, s.name, tables...)
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	begin(t, sink)
	var rows []stream.RowWrite
	for n, e := range tables {
		r := note(int64(n), "a", e.Table.Name)
		r.Table = e.Table.Name
		rows = append(rows, r)
	}
	must(t, sink.Apply(t.Context(), batch(0, rows...)))
	show := func(table string) error { return sink.(stream.Fronter).Show(t.Context(), []string{table}) }
	must(t, show("notes__1"))
	link.mode.Store(cutAfterView)
	wantKind(t, show("notes__2"), stream.Transient)
	if got := s.texts(t, "notes"); !slices.Equal(got, []string{"notes__2"}) {
		t.Fatalf("the view shows %v after the statement that switched it", got)
	}
	must(t, insist(func() error { return show("notes__1") }))
	if got := s.texts(t, "notes"); !slices.Equal(got, []string{"notes__1"}) {
		t.Errorf("the view shows %v after it was switched back", got)
	}
}
