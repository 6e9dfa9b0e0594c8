package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// rowChange is one row record to come: an upsert with its row, or a delete.
type rowChange struct {
	id  stream.RowID
	row *stream.Row // nil: delete
	fp  stream.Fingerprint
	new bool // the row was not there before
}

// emit diffs rows against those last emitted and appends the records of the difference, as one unit. A document whose
// row or memo does not fit into a record is refused, and nothing of it is written.
func (t *Tx) emit(d *document, rows []stream.Row, memos map[stream.Fingerprint]used, out *Output) (refused, err error) {
	held, err := emittedRows(t.p.Store, &d.header)
	if err != nil {
		return nil, err
	}
	now, values := make([]emittedRow, len(rows)), make([]stream.Fingerprint, len(rows))
	for i, r := range rows {
		values[i] = r.Fingerprint()
		now[i] = emittedRow{Table: r.Table, Key: r.Key, Fingerprint: versionOf(t.p.columns[r.Table], values[i])}
	}
	if d.header.Logic != t.p.config.Program.Logic() {
		values = nil
	}
	if err := t.fits(memos); err != nil {
		return err, nil
	}
	changes := diff(d.id, held, now, rows, values)
	records, err := t.encodeRows(d, changes)
	switch {
	case stream.KindOf(err) == stream.Invalid:
		return err, nil
	case err != nil:
		return nil, err
	}
	t.tallyRows(changes)
	t.noteRows(d, held, now, changes)
	out.Rows = append(out.Rows, records...)
	return nil, t.useMemos(d, memos)
}

// diff returns what leads from the rows held to those of now, in order of (table, key). values are given where the same program made the rows
// that are held, so that their columns have the same names: earlier builds noted nothing else of a row.
func diff(document string, held, now []emittedRow, rows []stream.Row, values []stream.Fingerprint) []rowChange {
	var changes []rowChange
	before, after := finder(held), finder(now)
	for i, r := range now {
		j := before(r)
		if j < 0 || held[j].Fingerprint != r.Fingerprint && (values == nil || held[j].Fingerprint != values[i]) {
			id := stream.RowID{Table: r.Table, Document: document, Key: r.Key}
			changes = append(changes, rowChange{id, &rows[i], r.Fingerprint, j < 0})
		}
	}
	for _, r := range held {
		if after(r) < 0 {
			changes = append(changes, rowChange{id: stream.RowID{Table: r.Table, Document: document, Key: r.Key}})
		}
	}
	slices.SortFunc(changes, func(a, b rowChange) int {
		return cmp.Or(strings.Compare(a.id.Table, b.id.Table), strings.Compare(a.id.Key, b.id.Key))
	})
	return changes
}

// finder returns a function that finds the row of the same table and key, -1 when there is none.
func finder(rows []emittedRow) func(emittedRow) int {
	if len(rows) <= fewRows {
		return func(r emittedRow) int {
			return slices.IndexFunc(rows, func(o emittedRow) bool { return o.Table == r.Table && o.Key == r.Key })
		}
	}
	type id struct{ table, key string }
	at := make(map[id]int, len(rows))
	for i, r := range rows {
		at[id{r.Table, r.Key}] = i
	}
	return func(r emittedRow) int {
		if i, ok := at[id{r.Table, r.Key}]; ok {
			return i
		}
		return -1
	}
}

// encodeRows makes the records of a unit. All rows of one table share their lineage.
func (t *Tx) encodeRows(d *document, changes []rowChange) ([]stream.Record, error) {
	records := make([]stream.Record, 0, len(changes))
	var table *tablePlan
	var lineage []byte
	for i, c := range changes {
		if c.row == nil {
			records = append(records, schemas.EncodeDelete(c.id, i+1, len(changes)))
			continue
		}
		if table == nil || table.Name != c.id.Table { // changes are in order of table
			var err error
			if table = t.p.tables[c.id.Table]; table == nil {
				return nil, stream.Errorf(stream.Internal, "encode rows", "the program made a row of table %q, which it does not declare", c.id.Table)
			}
			if lineage, err = schemas.LineageOf(d.id, d.position, t.p.revision, table.lineage(d.id)).JSON(); err != nil {
				return nil, err
			}
		}
		r, err := schemas.EncodeRow(table.Table, *c.row, d.id, lineage, i+1, len(changes))
		if err != nil {
			return nil, err
		}
		if n := len(r.Key) + len(r.Value); n > t.p.config.MaxRecord {
			return nil, &stream.Error{Op: "write row " + c.id.Key + " of table " + c.id.Table, Doc: d.id, Kind: stream.Invalid,
				Err: fmt.Errorf("the row has %d bytes, a record may have %d; leave out or shorten a column", n, t.p.config.MaxRecord)}
		}
		records = append(records, r)
	}
	return records, nil
}

func (t *Tx) tallyRows(changes []rowChange) {
	for _, c := range changes {
		n := TableCount{Upserts: 1}
		if c.row == nil {
			n = TableCount{Deletes: 1}
			t.stats.Rows[c.id.Table]--
		}
		if c.new {
			t.stats.Rows[c.id.Table]++
		}
		t.counts.table(c.id.Table, n)
	}
}

// noteRows stores which rows are emitted: few in the header, many in entries of their own, of which only those that
// changed are written.
func (t *Tx) noteRows(d *document, held, now []emittedRow, changes []rowChange) {
	inHeader, wasInHeader := len(now) <= fewRows, len(d.header.Few) == d.header.Rows
	d.header.Rows, d.header.Few = len(now), nil
	t.stats.Contents.Rows.add(len(now)-len(held), 0)
	if inHeader {
		d.header.Few = now
	}
	switch {
	case inHeader && !wasInHeader:
		for _, r := range held {
			t.dropRow(d, r)
		}
	case !inHeader && wasInHeader:
		for _, r := range now {
			t.putRow(d, r, true)
		}
	case !inHeader:
		for _, c := range changes {
			r := emittedRow{Table: c.id.Table, Key: c.id.Key, Fingerprint: c.fp}
			if c.row == nil {
				t.dropRow(d, r)
				continue
			}
			t.putRow(d, r, c.new)
		}
	}
}

// putRow writes a row's own entry, whose size the fingerprint does not change.
func (t *Tx) putRow(d *document, r emittedRow, added bool) {
	encoded := encode(r)
	t.ov.put(rowKey(d.fp, r.Table, r.Key), encoded)
	if added {
		t.stats.Contents.Rows.add(0, twoKeys+len(encoded))
	}
}

func (t *Tx) dropRow(d *document, r emittedRow) {
	t.ov.delete(rowKey(d.fp, r.Table, r.Key))
	t.stats.Contents.Rows.add(0, -(twoKeys + len(encode(r))))
}
