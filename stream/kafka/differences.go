package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// DifferenceKind says in what a target's row is not what the rows topic says.
type DifferenceKind string

// Kinds of differences.
const (
	Missing      DifferenceKind = "missing" // the target lacks the row
	Extra        DifferenceKind = "extra"   // the rows topic has no such row
	EditedColumn DifferenceKind = "column"  // of this version, and with another value
	EditedVector DifferenceKind = "vector"  // the same, of a vector
	OtherVersion DifferenceKind = "version" // mostly an older one, that a later change should have replaced
)

// Difference is one fault of a target. It never has values: they may be secret.
type Difference struct {
	Kind     DifferenceKind `json:"kind"`
	Table    string         `json:"table"`
	Document string         `json:"document"`
	Key      string         `json:"key"`
	Column   string         `json:"column,omitempty"`
	Held     string         `json:"held,omitempty"`     // version, generation.offset; "" for a missing row
	Expected string         `json:"expected,omitempty"` // version; "" for an extra row
	// Partition is the rows topic's that has the row; -1 for an extra row, which none has.
	Partition int32 `json:"partition"`
}

// String says the difference on one line.
func (d Difference) String() string {
	row := fmt.Sprintf("table %s, document %s", d.Table, d.Document)
	if d.Key != "" {
		row += ", key " + d.Key
	}
	switch d.Kind {
	case Missing:
		return fmt.Sprintf("row missing: %s (version %s)", row, d.Expected)
	case Extra:
		return fmt.Sprintf("extra row: %s (version %s)", row, d.Held)
	case OtherVersion:
		return fmt.Sprintf("other version: %s (%s in place of %s)", row, d.Held, d.Expected)
	}
	return fmt.Sprintf("edited %s: %s, column %s (version %s)", d.Kind, row, d.Column, d.Held)
}

// The ledger's keys are a letter, the table's number, the document, and the row's key, so that they sort as targets give
// their rows; its values what is expected (a letter, the version, the partition, eight bytes of each column's fingerprint), or the
// differences of the row as JSON.
const (
	expectedRows = 'e'
	differing    = 'f'

	rowApplied    = 'a'
	rowUnapplied  = 'u' // its last record is one that the target need not have applied
	goneUnapplied = 'd' // the same of a delete; one that was applied leaves nothing
)

const (
	ledgerPiece = 8192    // entries written to the ledger at once
	ledgerBytes = 4 << 20 // the same in bytes
	cursorPage  = 1024    // entries of the ledger read at once
	printed     = 8       // bytes of a column's fingerprint
	entryHead   = 1 + 8 + 4
)

// endOfDocument separates document and key; it sorts below what stands for a NUL within the document.
const endOfDocument = "\x00\x01"

func ledgerPrefix(space byte, table int) []byte {
	return binary.BigEndian.AppendUint16([]byte{space}, uint16(table))
}

func ledgerKey(space byte, table int, document, key string) []byte {
	b := append(ledgerPrefix(space, table), strings.ReplaceAll(document, "\x00", "\x00\xff")...)
	return append(append(b, endOfDocument...), key...)
}

// rowOf undoes ledgerKey.
func rowOf(key []byte) (document, of string) {
	document, of, _ = strings.Cut(string(key[3:]), endOfDocument)
	return strings.ReplaceAll(document, "\x00\xff", "\x00"), of
}

// note writes an entry, in pieces; an empty value deletes.
func (v *verification) note(key, value []byte) error {
	v.pending = append(v.pending, stream.StateEntry{Key: key, Value: value})
	if v.bytes += len(key) + len(value); len(v.pending) < ledgerPiece && v.bytes < ledgerBytes {
		return nil
	}
	return v.flush()
}

func (v *verification) flush() error {
	if len(v.pending) == 0 {
		return nil
	}
	err := v.c.Ledger.Apply(v.pending, stream.Checkpoint{})
	v.pending, v.bytes = nil, 0 // the ledger may keep their memory
	return err
}

func (v *verification) table(name string) int {
	n, _ := slices.BinarySearch(v.names, name)
	return n
}

// expected notes the last record of a row, as they come; applied says whether the target had applied it.
func (v *verification) expected(partition int32, w stream.RowWrite, applied bool) error {
	key := ledgerKey(expectedRows, v.table(w.Table), w.Document, w.Key)
	switch {
	case w.Delete && applied:
		return v.note(key, nil)
	case w.Delete:
		return v.note(key, entryOf(goneUnapplied, partition, w))
	case applied:
		return v.note(key, entryOf(rowApplied, partition, w))
	}
	return v.note(key, entryOf(rowUnapplied, partition, w))
}

func entryOf(state byte, partition int32, w stream.RowWrite) []byte {
	b := binary.BigEndian.AppendUint64([]byte{state}, uint64(w.Version.Pack()))
	b = binary.BigEndian.AppendUint32(b, uint32(partition))
	for _, c := range w.Columns {
		b = append(b, printOf(c)...)
	}
	return b
}

func versionOf(entry []byte) stream.Version {
	return stream.Unpack(int64(binary.BigEndian.Uint64(entry[1:])))
}

func partitionOf(entry []byte) int32 { return int32(binary.BigEndian.Uint32(entry[9:])) }

// printOf is what is kept of a column. The two zeros of a double are one: not every target tells them apart.
func printOf(v stream.Value) []byte {
	if v.Kind() == stream.Double && v.Double() == 0 {
		v = stream.DoubleOf(0)
	}
	f := stream.FingerprintOf(v)
	return f[:printed]
}

// compareAll reads the target's tables beside the ledger.
func (v *verification) compareAll(ctx context.Context, from stream.Reader) error {
	for _, name := range v.names {
		if err := v.compare(ctx, from, name); err != nil {
			return err
		}
	}
	return v.flush()
}

func (v *verification) compare(ctx context.Context, from stream.Reader, name string) error {
	var last []byte
	at := &cursor{ledger: v.c.Ledger, prefix: ledgerPrefix(expectedRows, v.table(name))}
	err := from.ReadRows(ctx, name, func(r stream.RowWrite) error {
		v.out.Rows++
		v.c.Progress("rows", v.out.Rows, 0)
		key := ledgerKey(expectedRows, v.table(name), r.Document, r.Key)
		if bytes.Compare(key, last) < 0 {
			return stream.Errorf(stream.Internal, v.op(), "table %s does not come in order of document and key", name)
		}
		last = key
		if err := v.missingBefore(at, name, key); err != nil {
			return err
		}
		e, more, err := at.peek()
		switch {
		case err != nil:
			return err
		case more && bytes.Equal(e.Key, key):
			at.next()
			return v.judge(name, e.Value, r)
		}
		return v.extra(name, r)
	})
	if err != nil {
		return err
	}
	return v.missingBefore(at, name, nil)
}

// missingBefore takes what is expected before a key (nil: all that is left): the target lacks it.
func (v *verification) missingBefore(at *cursor, table string, key []byte) error {
	for {
		e, more, err := at.peek()
		if err != nil || !more || key != nil && bytes.Compare(e.Key, key) >= 0 {
			return err
		}
		at.next()
		switch e.Value[0] {
		case rowUnapplied:
			v.out.Unjudged++
		case rowApplied:
			document, of := rowOf(e.Key)
			if err := v.differs(Difference{Kind: Missing, Table: table, Document: document, Key: of, Expected: versionOf(e.Value).String(),
				Partition: partitionOf(e.Value)}); err != nil {
				return err
			}
		}
	}
}

func (v *verification) extra(table string, r stream.RowWrite) error {
	if v.old && r.Version.Generation < v.units.gen {
		v.out.Unjudged++ // the sweep that ends the first pass is still to come
		return nil
	}
	return v.differs(Difference{Kind: Extra, Table: table, Document: r.Document, Key: r.Key, Held: r.Version.String(), Partition: -1})
}

// judge compares a row with what is expected of it.
func (v *verification) judge(table string, entry []byte, r stream.RowWrite) error {
	d := Difference{Table: table, Document: r.Document, Key: r.Key, Held: r.Version.String(), Expected: versionOf(entry).String(), Partition: partitionOf(entry)}
	switch {
	case entry[0] == goneUnapplied, entry[0] == rowUnapplied && r.Version != versionOf(entry):
		v.out.Unjudged++
		return nil
	case r.Version != versionOf(entry):
		d.Kind = OtherVersion
		return v.differs(d)
	}
	var all []Difference
	prints := entry[entryHead:]
	for i, c := range v.c.Tables[table].Columns {
		if bytes.Equal(printOf(r.Columns[i]), prints[i*printed:(i+1)*printed]) {
			continue
		}
		d.Kind, d.Column = EditedColumn, c.Name
		if c.Type.Kind.IsVector() {
			d.Kind = EditedVector
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil
	}
	return v.differs(all...)
}

// differs notes the differences of one row.
func (v *verification) differs(all ...Difference) error {
	value, err := json.Marshal(all)
	if err != nil {
		return err
	}
	key := ledgerKey(differing, v.table(all[0].Table), all[0].Document, all[0].Key)
	if !bytes.Equal(key, v.last) { // a target may hold strangers under one identity: they are one
		v.noted++
	}
	v.last = key
	return v.note(key, value)
}

// changed takes the differences of a row back, if there are any: it was written while the target was read.
func (v *verification) changed(id stream.RowID) error {
	if _, kept := v.c.Tables[id.Table]; !kept {
		return nil
	}
	return v.note(ledgerKey(differing, v.table(id.Table), id.Document, id.Key), nil)
}

// report tells the differences that are left.
func (v *verification) report() error {
	left := int64(0)
	err := v.c.Ledger.Scan([]byte{differing}, nil, func(_, value []byte) (bool, error) {
		left++
		var all []Difference
		if err := json.Unmarshal(value, &all); err != nil {
			return false, err
		}
		for _, d := range all {
			v.out.Differences[d.Kind]++
			if err := v.c.Differs(d); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	v.out.Unjudged += v.noted - left
	return err
}

// cursor goes through the ledger page by page.
type cursor struct {
	ledger Ledger
	prefix []byte
	from   []byte // nil: the start
	page   []stream.StateEntry
	ended  bool
}

// peek returns the entry that the cursor stands at; false at the end.
func (c *cursor) peek() (e stream.StateEntry, more bool, err error) {
	if len(c.page) == 0 && !c.ended {
		err = c.ledger.Scan(c.prefix, c.from, func(key, value []byte) (bool, error) {
			c.page = append(c.page, stream.StateEntry{Key: bytes.Clone(key), Value: bytes.Clone(value)})
			return len(c.page) < cursorPage, nil
		})
		if c.ended = len(c.page) < cursorPage; !c.ended {
			c.from = append(bytes.Clone(c.page[cursorPage-1].Key), 0)
		}
	}
	if err != nil || len(c.page) == 0 {
		return e, false, err
	}
	return c.page[0], true, nil
}

// next goes on after peek.
func (c *cursor) next() { c.page = c.page[1:] }
