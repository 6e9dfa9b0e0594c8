package snowflake_test

import (
	"slices"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// rolling is a target with two editions of the notes, each of one row that says which, and how to show one.
func rolling(t *testing.T, s schema, url string) (show func(edition int64) error) {
	t.Helper()
	var tables []stream.TargetTable
	var rows []stream.RowWrite
	for n := range int64(2) {
		e := stream.TargetTable{Table: notes.Table, Front: "notes"}
		e.Table.Name = stream.EditionName("notes", n+1)
		r := note(n, "a", e.Table.Name)
		r.Table = e.Table.Name
		tables, rows = append(tables, e), append(rows, r)
	}
	sink, err := newSink(url, s.name, tables...)
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	begin(t, sink)
	must(t, sink.Apply(t.Context(), batch(0, rows...)))
	return func(edition int64) error {
		return sink.(stream.Fronter).Show(t.Context(), []string{stream.EditionName("notes", edition)})
	}
}

// TestLostView: the answer to the statement that switches a view is lost, and the flow goes back to what was shown before: the view shows that.
func TestLostView(t *testing.T) {
	s := newSchema(t)
	link := newLink(t, s.url)
	show := rolling(t, s, link.url)
	must(t, show(1))
	link.mode.Store(cutAfterView)
	wantKind(t, show(2), stream.Transient)
	if got := s.texts(t, "notes"); !slices.Equal(got, []string{"notes__2"}) {
		t.Fatalf("the view shows %v after the statement that switched it", got)
	}
	must(t, insist(func() error { return show(1) }))
	if got := s.texts(t, "notes"); !slices.Equal(got, []string{"notes__1"}) {
		t.Errorf("the view shows %v after it was switched back", got)
	}
}

// TestForeignView: a stranger's view in the place of a front, which the statement would replace, is refused, and stays.
func TestForeignView(t *testing.T) {
	s := newSchema(t)
	show := rolling(t, s, s.url)
	s.exec(t, "create view "+s.id("notes")+` as select 'theirs' as "text"`)
	wantKind(t, show(1), stream.Usage)
	if got := s.texts(t, "notes"); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("the stranger's view shows %v", got)
	}
}
