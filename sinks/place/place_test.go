package place

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestUnsettled: a step without an answer is the one that may have come about, until it ends or the partition is taken anew.
func TestUnsettled(t *testing.T) {
	var held Tenures
	step, lost := Step{Live, 3, 7}, fmt.Errorf("apply: %w", &LostAnswer{errors.New("reset")})
	if _, err := held.Epoch(1); !errors.Is(err, ErrFenced) {
		t.Fatalf("a partition that was not assigned gives %v", err)
	}
	held.Note(1, step, lost) // it was released meanwhile
	held.Take(1, 4)
	if e, err := held.Epoch(1); e != 4 || err != nil || held.Unsettled(1, step) {
		t.Fatalf("epoch %d, %v; unsettled: %t", e, err, held.Unsettled(1, step))
	}
	held.Note(1, step, lost)
	held.Note(1, step, errors.New("refused")) // says nothing of the first try
	if !held.Unsettled(1, step) || held.Unsettled(1, Step{Live, 3, 8}) || held.Unsettled(2, step) {
		t.Fatal("the step without an answer is not the one that is unsettled")
	}
	held.Note(1, step, nil)
	if held.Unsettled(1, step) {
		t.Fatal("a step that is done is still unsettled")
	}
	held.Note(1, step, lost)
	held.Take(1, 5)
	if held.Unsettled(1, step) {
		t.Fatal("a new tenure still has the former's step")
	}
	held.Release(1)
	if _, err := held.Epoch(1); !errors.Is(err, ErrFenced) {
		t.Fatalf("a partition that was released gives %v", err)
	}
}

// TestLanded: a place tells whether a step came about.
func TestLanded(t *testing.T) {
	before := Place{Next: 3, Rebuild: &stream.Rebuild{Next: 5, End: 9}}
	for step, after := range map[Step]Place{
		{Live, 3, 7}:   {Next: 7, Rebuild: before.Rebuild},
		{Stage, 5, 9}:  {Next: 3, Rebuild: &stream.Rebuild{Next: 9, End: 9}},
		{Finish, 0, 9}: {Next: 9},
	} {
		if step.Landed(before) || !step.Landed(after) {
			t.Errorf("%v: landed before %t, after %t", step, step.Landed(before), step.Landed(after))
		}
	}
}

// TestAdopt: a rebuild of another log starts anew, or is dropped where everything is read anyway.
func TestAdopt(t *testing.T) {
	old := Place{Epoch: 2, TopicID: "a", Generation: 1, Next: 5, Rebuild: &stream.Rebuild{Next: 3, End: 9}}
	for _, c := range []struct {
		origin  stream.Origin
		next    int64
		another bool
		rebuild *stream.Rebuild
	}{
		{stream.Origin{TopicID: "a", Generation: 1}, 4, false, old.Rebuild},
		{stream.Origin{TopicID: "b", Generation: 1}, 4, true, &stream.Rebuild{End: 4}},
		{stream.Origin{TopicID: "a", Generation: 2}, 0, true, nil},
	} {
		p := old
		another := p.Adopt(c.origin, c.next)
		want := Place{Epoch: 2, TopicID: c.origin.TopicID, Generation: c.origin.Generation, Next: c.next, Rebuild: c.rebuild}
		if another != c.another || !reflect.DeepEqual(p, want) {
			t.Errorf("%v: %t, %+v, want %t, %+v", c.origin, another, p, c.another, want)
		}
	}
}

// TestLastWrites: of each row the last write counts, in order of document and key, upserts and deletes apart.
func TestLastWrites(t *testing.T) {
	write := func(table, document, key string, offset int64, deleted bool) stream.RowWrite {
		return stream.RowWrite{RowID: stream.RowID{Table: table, Document: document, Key: key}, Version: stream.Version{Offset: offset}, Delete: deleted}
	}
	last := LastWrites(stream.Batch{Units: []stream.Unit{
		{Rows: []stream.RowWrite{write("a", "y", "1", 0, false), write("a", "x", "2", 1, false), write("b", "x", "", 2, true)}},
		{Rows: []stream.RowWrite{write("a", "y", "1", 3, true), write("a", "x", "1", 4, false), write("b", "x", "", 5, false)}},
	}})
	upserts, deletes := Split(last["a"])
	if want := []stream.RowWrite{write("a", "x", "1", 4, false), write("a", "x", "2", 1, false)}; !reflect.DeepEqual(upserts, want) {
		t.Errorf("upserts %v, want %v", upserts, want)
	}
	if want := []stream.RowWrite{write("a", "y", "1", 3, true)}; !reflect.DeepEqual(deletes, want) {
		t.Errorf("deletes %v, want %v", deletes, want)
	}
	if want := []stream.RowWrite{write("b", "x", "", 5, false)}; len(last) != 2 || !reflect.DeepEqual(last["b"], want) {
		t.Errorf("%d tables, b %v, want %v", len(last), last["b"], want)
	}
}
