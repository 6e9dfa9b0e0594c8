package sinktest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// Invariant 5: a unit becomes visible whole.
var atomicCases = []Case{
	{"a reader never sees half a document", neverHalf},
	{"a replaced row is gone with its batch", replacedIsGone},
	{"a unit of 10,000 rows", func(t *testing.T, h Harness) {
		w := start(t, h, chunks)
		w.apply(unit(manyChunks(10_000, 1)...))
		w.apply(unit(manyChunks(10_000, 2)...))
		rows := w.read("chunks")
		if len(rows) != 10_000 {
			t.Fatalf("%d rows, want 10000", len(rows))
		}
		w.sameRow(rows[77], chunk("a", "00077", 2))
		gone := make([]stream.RowWrite, 0, len(rows))
		for _, r := range rows {
			gone = append(gone, del("chunks", r.Document, r.Key))
		}
		w.apply(unit(gone...))
		w.want("chunks")
	}},
	{"a row of 3 MB", largeRow},
	{"a failed batch changes nothing", func(t *testing.T, h Harness) {
		if !h.Is.Transactional {
			t.Skip("this kind of target has no transactions")
		}
		w := start(t, h, chunks)
		bad := chunk("b", "1", 2)
		bad.Columns = bad.Columns[:1]
		if err := w.sink.Apply(t.Context(), w.batch(0, unit(chunk("a", "1", 1)), unit(bad))); err == nil {
			t.Fatal("a row with too few columns was taken")
		}
		w.want("chunks")
		w.apply(unit(chunk("a", "1", 1)))
	}},
}

// largeRow: where a row of this size is above what the target takes, it is refused, and one of that size is taken.
func largeRow(t *testing.T, h Harness) {
	w := start(t, h, pages)
	title := strings.Repeat("søt 🌊 ", 300_000)
	if h.Is.MaxRow > 0 {
		err := w.sink.Apply(t.Context(), w.batch(0, unit(page("a", title))))
		wantKind(t, err, stream.Usage, "write a row of 3 MB")
		title = strings.ToValidUTF8(title[:h.Is.MaxRow], "")
	}
	w.apply(unit(page("a", title)), unit(page("b", "B")))
	w.want("pages", page("a", title), page("b", "B"))
}

func manyChunks(count, n int) []stream.RowWrite {
	rows := make([]stream.RowWrite, count)
	for i := range rows {
		rows[i] = chunk("a", fmt.Sprintf("%05d", i), n)
	}
	return rows
}

// neverHalf rewrites one document, alternating its number of rows, while a reader polls: all rows that the reader sees
// at once carry the same n, and are as many as n says.
func neverHalf(t *testing.T, h Harness) {
	if !h.Is.AtomicDocuments {
		t.Skip("this kind of target shows a unit row by row")
	}
	last := int64(0)
	watch(t, h, func(w *writer, n int) { w.apply(unit(documentOf(n)...)) }, func(rows []stream.RowWrite, _ int64) (err error) {
		last, err = checkWhole(rows, last)
		return err
	})
}

// documentOf writes a document of 20 or 40 rows with the number n; rows that the round does not have are deleted.
func documentOf(n int) []stream.RowWrite {
	rows := manyChunks(40, n)
	if n%2 == 1 {
		for i := 20; i < 40; i++ {
			rows[i] = del("chunks", "a", rows[i].Key)
		}
	}
	return rows
}

// replacedIsGone replaces a document's only row by one of another key, again and again, while a reader polls: what was replaced before it asks is
// gone, and in a target that shows documents whole no replaced row is seen beside what replaces it.
func replacedIsGone(t *testing.T, h Harness) {
	if !h.Is.Deletes {
		t.Skip("this kind of target deletes nothing")
	}
	key := func(n int) string { return fmt.Sprintf("%05d", n) }
	replace := func(w *writer, n int) { w.apply(unit(del("chunks", "a", key(n-1)), chunk("a", key(n), n))) }
	watch(t, h, replace, func(rows []stream.RowWrite, applied int64) error {
		if h.Is.AtomicDocuments && len(rows) > 1 {
			return fmt.Errorf("a reader saw %d rows at once, of which one replaces the other", len(rows))
		}
		for _, r := range rows {
			if now := key(int(applied)); r.Key < now {
				return fmt.Errorf("a reader saw row %q after row %q had replaced it", r.Key, now)
			}
		}
		return nil
	})
}

// watch applies 30 rounds, numbered from 1, while a reader of its own asks for the table again and again, the last time after all is applied.
// check is given what the reader sees, and the round that was applied before it asked.
func watch(t *testing.T, h Harness, round func(w *writer, n int), check func(rows []stream.RowWrite, applied int64) error) {
	const rounds = 30
	w := start(t, h, chunks)
	reader := open(t, h, chunks)
	var applied atomic.Int64
	polled := make(chan error, 1)
	go func() {
		var err error
		for before := int64(0); err == nil && before < rounds; {
			before = applied.Load()
			var rows []stream.RowWrite
			if rows, err = readRows(t, reader.sink, "chunks"); err == nil {
				err = check(rows, before)
			}
		}
		polled <- err
	}()
	for n := 1; n <= rounds; n++ {
		round(w, n)
		applied.Store(int64(n))
	}
	noError(t, <-polled, "poll")
}

func checkWhole(rows []stream.RowWrite, last int64) (int64, error) {
	if len(rows) == 0 {
		return last, nil
	}
	n := rows[0].Columns[1].Int()
	want := 40 - 20*int(n%2)
	if len(rows) != want {
		return 0, fmt.Errorf("round %d: a reader saw %d rows, want %d", n, len(rows), want)
	}
	if n < last {
		return 0, fmt.Errorf("a reader saw round %d after round %d", n, last)
	}
	for _, r := range rows {
		if r.Columns[1].Int() != n {
			return 0, fmt.Errorf("a reader saw rounds %d and %d at once", n, r.Columns[1].Int())
		}
	}
	return n, nil
}
