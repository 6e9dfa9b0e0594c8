package schemas

import (
	"embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

//go:embed row.avsc intake.avsc
var schemaFiles embed.FS

// RowSchema returns the Avro schema of a row record's value, the same for all tables.
func RowSchema() string { return schemaFile("row.avsc") }

func schemaFile(name string) string {
	text, err := schemaFiles.ReadFile(name)
	if err != nil {
		panic(err) // it is part of the program
	}
	return string(text)
}

// EncodeRow returns the record of one row, the i-th (from 1) of the n records that a change of document caused, without
// topic and partition. lineage is the JSON of a Lineage, the same for all rows of a table that a change writes. Invariant 5: the n records are produced one after the other, to the document's partition.
func EncodeRow(table stream.Table, row stream.Row, document string, lineage []byte, i, n int) (stream.Record, error) {
	id := stream.RowID{Table: row.Table, Document: document, Key: row.Key}
	value, kind, err := encodeRow(table, row, document, lineage)
	if err != nil {
		return stream.Record{}, &stream.Error{Op: fmt.Sprintf("encode row %q of table %s", row.Key, row.Table), Doc: document, Kind: kind, Err: err}
	}
	return stream.Record{Key: RowKey(id), Value: value, Headers: rowHeaders(id, i, n)}, nil
}

func encodeRow(table stream.Table, row stream.Row, document string, lineage []byte) ([]byte, stream.ErrorKind, error) {
	if len(row.Columns) != len(table.Columns) || row.Table != table.Name {
		return nil, stream.Internal, fmt.Errorf("it has %d columns, the declaration of table %s has %d",
			len(row.Columns), table.Name, len(table.Columns))
	}
	b := make([]byte, 0, 256+len(lineage)+rawSize(row.Columns))
	b = appendText(appendText(appendText(b, row.Table), document), row.Key)
	if len(row.Columns) > 0 {
		b = appendLong(b, int64(len(row.Columns)))
	}
	for c, v := range row.Columns {
		var err error
		if b, err = appendValue(appendText(b, table.Columns[c].Name), v); err != nil {
			return nil, stream.Invalid, fmt.Errorf("column %s: %w", table.Columns[c].Name, err)
		}
	}
	b = appendLong(appendLong(b, 0), int64(len(lineage)))
	return append(b, lineage...), stream.Internal, nil
}

// rawSize estimates what columns take, so that large ones are not copied again and again.
func rawSize(columns []stream.Value) int {
	size := 0
	for _, v := range columns {
		size += 32 + v.Len() + len(v.Raw())
	}
	return size
}

// EncodeDelete returns the record that deletes a row: its key and headers, and a null value.
func EncodeDelete(id stream.RowID, i, n int) stream.Record {
	return stream.Record{Key: RowKey(id), Headers: rowHeaders(id, i, n)}
}

func rowHeaders(id stream.RowID, i, n int) []stream.Header {
	b := make([]byte, 0, len(format1)+len(id.Table)+len(id.Document)+8) // one buffer for all values
	cut := func(from int) []byte { return b[from:len(b):len(b)] }
	b = append(b, format1...)
	format := cut(0)
	b = append(b, id.Table...)
	table := cut(len(format1))
	b = append(b, id.Document...)
	document := cut(len(b) - len(id.Document))
	at := len(b)
	b = strconv.AppendInt(append(strconv.AppendInt(b, int64(i), 10), '/'), int64(n), 10)
	return []stream.Header{
		{Key: HeaderFormat, Value: format},
		{Key: HeaderTable, Value: table},
		{Key: HeaderDocument, Value: document},
		{Key: HeaderUnit, Value: cut(at)},
	}
}

// RowHeader reads what a sink needs to know of a row record before decoding it. ok is false for records that are no rows.
func RowHeader(r *stream.Record) (table, document string, i, n int, ok bool) {
	table, hasTable := header(r, HeaderTable)
	document, hasDocument := header(r, HeaderDocument)
	unit, _ := header(r, HeaderUnit)
	first, last, _ := strings.Cut(unit, "/")
	i, err := strconv.Atoi(first)
	n, err2 := strconv.Atoi(last)
	ok = hasTable && hasDocument && err == nil && err2 == nil && 1 <= i && i <= n
	return table, document, i, n, ok
}

// DecodeRow reads a row record of one of the tables; columns come in the table's order, absent ones null. The caller
// sets Version. i and n are the record's place in its unit. A record of another table, of another format or malformed is
// an error of kind Invalid.
func DecodeRow(r *stream.Record, tables map[string]stream.Table) (w stream.RowWrite, i, n int, err error) {
	name, document, i, n, ok := RowHeader(r)
	table, known := tables[name]
	switch {
	case !ok:
		err = errors.New("its headers name no table, document and unit: it is no row record")
	case !known:
		err = fmt.Errorf("it is of table %s, which was not asked for", name)
	case !isFormat1(r):
		err = errFormat(r)
	case r.Value == nil:
		w.Delete = true
		w.RowID, err = ParseRowKey(r.Key)
	default:
		err = decodeRow(r.Value, table, &w)
	}
	if err == nil && (w.Table != name || w.Document != document) {
		err = fmt.Errorf("it is of table %s and document %s, its headers say %s and %s", w.Table, w.Document, name, document)
	}
	if err != nil {
		op := fmt.Sprintf("decode row record %s[%d]@%d", r.Topic, r.Partition, r.Offset)
		return stream.RowWrite{}, i, n, &stream.Error{Op: op, Doc: document, Kind: stream.Invalid, Err: err}
	}
	return w, i, n, nil
}

// DecodeColumns reads a row record without its table's declaration: names are those of the columns, in the order in which they were declared
// when it was written. The caller sets Version. A record that is no row, of another format or malformed is an error of kind Invalid.
func DecodeColumns(r *stream.Record) (w stream.RowWrite, names []string, err error) {
	if !isFormat1(r) {
		err = errFormat(r)
	} else if w.RowID, err = ParseRowKey(r.Key); err == nil && r.Value == nil {
		w.Delete = true
	} else if err == nil {
		names, err = decodeColumns(r.Value, &w)
	}
	if err != nil {
		op := fmt.Sprintf("decode row record %s[%d]@%d", r.Topic, r.Partition, r.Offset)
		return stream.RowWrite{}, nil, &stream.Error{Op: op, Doc: w.Document, Kind: stream.Invalid, Err: err}
	}
	return w, names, nil
}

func decodeColumns(value []byte, w *stream.RowWrite) (names []string, err error) {
	r := avroReader{b: value}
	if own := (stream.RowID{Table: r.text(), Document: r.text(), Key: r.text()}); r.err == nil && own != w.RowID {
		return nil, fmt.Errorf("its key is of row %q of table %s and document %s, its value of another", w.Key, w.Table, w.Document)
	}
	r.blocks(func() {
		names = append(names, r.text())
		w.Columns = append(w.Columns, r.value(0))
	})
	w.Lineage = append([]byte(nil), r.bytes()...)
	if r.err == nil && len(r.b) > 0 {
		return nil, errAvro
	}
	return names, r.err
}

func decodeRow(value []byte, table stream.Table, w *stream.RowWrite) error {
	r := avroReader{b: value}
	w.Table, w.Document, w.Key = r.text(), r.text(), r.text()
	w.Columns = make([]stream.Value, len(table.Columns))
	next := 0
	r.blocks(func() {
		name := r.bytes()
		if c := columnIndex(table.Columns, string(name), next); c >= 0 {
			w.Columns[c], next = r.value(0), c+1
			return
		}
		r.value(0) // of a column that the table no longer has
	})
	w.Lineage = append([]byte(nil), r.bytes()...)
	if r.err == nil && len(r.b) > 0 {
		return errAvro
	}
	return r.err
}

// columnIndex finds a column, first where it is expected: rows are written in the table's order.
func columnIndex(columns []stream.Field, name string, expected int) int {
	if expected < len(columns) && columns[expected].Name == name {
		return expected
	}
	for i, c := range columns {
		if c.Name == name {
			return i
		}
	}
	return -1
}
