package kafka

import (
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// units gathers the row records of one partition into whole units (invariant 5). A unit ends with its last record, with
// the control record that ends its transaction, or, where compaction took its end, with the first record of another.
type units struct {
	tables map[string]stream.Table
	keep   map[string]func([]stream.Value) (bool, error)
	gen    int64
	logic  string // of the program that runs now

	next  int64 // offset after the last record seen
	whole int64 // offset after the last whole unit
	done  []stream.Unit
	open  *stream.Unit
	at    int // number of open's last record within its unit
	mark  bool
}

// add takes one record. mark is set when it is the pass mark of the current generation; the caller acts on it and
// steps over it before it goes on.
func (u *units) add(r *kgo.Record) error {
	if r.Offset < u.next {
		return nil
	}
	if r.Attrs.IsControl() {
		u.cut(r.Offset)
		u.next, u.whole = r.Offset+1, r.Offset+1
		return nil
	}
	rec := fromKafka(r)
	table, document, i, n, ok := schemas.RowHeader(rec)
	if !ok {
		return u.other(rec)
	}
	if u.open != nil && (u.open.Document != document || i <= u.at) {
		u.cut(r.Offset)
	}
	if u.open == nil {
		u.open = &stream.Unit{Document: document}
	}
	if _, kept := u.tables[table]; kept {
		if err := u.row(rec); err != nil {
			return err
		}
	}
	u.next, u.at = r.Offset+1, i
	if i == n {
		u.cut(u.next)
	}
	return nil
}

// cut ends the open unit before offset.
func (u *units) cut(offset int64) {
	if u.open != nil && len(u.open.Rows) > 0 {
		u.done = append(u.done, *u.open)
	}
	u.open, u.at, u.whole = nil, 0, offset
}

// row adds a write of a table that the target keeps.
func (u *units) row(rec *stream.Record) error {
	w, err := u.write(rec)
	if err != nil {
		return err
	}
	u.open.Rows = append(u.open.Rows, w)
	return nil
}

// write is what a row record means to the target. A row that it does not show is deleted there.
func (u *units) write(rec *stream.Record) (stream.RowWrite, error) {
	w, _, _, err := schemas.DecodeRow(rec, u.tables)
	if err != nil {
		return w, err
	}
	w.Version = stream.Version{Generation: u.gen, Offset: rec.Offset}
	if w.Delete {
		return w, nil
	}
	shown, err := u.shows(w)
	if err == nil && !shown {
		w.Delete, w.Columns, w.Lineage = true, nil, nil
	}
	return w, err
}

// unreadable is the failure to read a row record: the topic holds what this flow did not write.
func unreadable(r *kgo.Record, err error) error {
	return &stream.Error{Op: fmt.Sprintf("read row record %d of partition %d", r.Offset, r.Partition), Kind: stream.Usage, Err: err}
}

func (u *units) shows(w stream.RowWrite) (bool, error) {
	if u.outgrown(w) {
		return false, nil
	}
	if where := u.keep[w.Table]; where != nil {
		return where(w.Columns)
	}
	return true, nil
}

// outgrown reports whether a row was written by an older declaration, in types that the table no longer has: it is left
// out, since its document is evaluated again and a newer row follows.
func (u *units) outgrown(w stream.RowWrite) bool {
	table := u.tables[w.Table]
	fits := true
	for i, c := range table.Columns {
		fits = fits && fit(w.Columns[i], c.Type)
	}
	var l schemas.Lineage
	return !fits && json.Unmarshal(w.Lineage, &l) == nil && l.Revision != u.logic
}

func fit(v stream.Value, t stream.Type) bool {
	switch {
	case v.IsNull(), t.Kind == stream.Dynamic:
		return true
	case v.Kind() != t.Kind:
		return false
	case t.Kind == stream.Vector:
		return v.Elem() == t.Element && (t.Dims == 0 || v.Dims() == t.Dims)
	}
	return true
}

// other steps over a record that is no row: a mark.
func (u *units) other(rec *stream.Record) error {
	u.cut(rec.Offset)
	name, generation, ok := schemas.DecodeMark(rec)
	u.next = rec.Offset + 1
	if u.mark = ok && name == schemas.MarkGenerationPass && generation == u.gen; !u.mark {
		u.whole = u.next
	}
	return nil
}

// marked steps over a mark that was acted on: a crash before that meets it again.
func (u *units) marked() { u.mark, u.whole = false, u.next }

// take returns the whole units gathered and the offset after them.
func (u *units) take() ([]stream.Unit, int64) {
	done := u.done
	u.done = nil
	return done, u.whole
}
