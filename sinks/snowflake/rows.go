package snowflake

import (
	"context"
	"fmt"
	"strconv"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Bounds of one statement; a batch that is larger takes several in its transaction. Snowflake takes 16 MB as one text.
const (
	maxRows  = 20_000
	maxBytes = 8 << 20
)

// appender appends a row to b as a JSON array of texts and nulls, in the order of a statement's columns.
type appender func(b []byte, t *table, partition int32, r stream.RowWrite) ([]byte, error)

// write runs sql, a statement over rows, for all rows, in pieces.
func write(ctx context.Context, tx txn, t *table, sql string, row appender, partition int32, rows []stream.RowWrite) error {
	var b []byte
	for i, first := 0, 0; i < len(rows); i++ {
		sep := byte(',')
		if i == first {
			sep = '['
		}
		var err error
		if b, err = row(append(b, sep), t, partition, rows[i]); err != nil {
			return err
		}
		if i < len(rows)-1 && i-first < maxRows-1 && len(b) < maxBytes {
			continue
		}
		if _, err := tx.exec(ctx, sql, string(append(b, ']'))); err != nil {
			return fmt.Errorf("table %q: %w", t.name, err)
		}
		b, first = b[:0], i+1
	}
	return nil
}

// appendRow gives our own columns and the declared ones.
func appendRow(b []byte, t *table, partition int32, r stream.RowWrite) ([]byte, error) {
	if len(r.Columns) != len(t.columns) {
		return nil, stream.Errorf(stream.Internal, "write to table "+t.name, "a row has %d columns, the table %d", len(r.Columns), len(t.columns))
	}
	b, err := appendID(b, t, partition, r)
	if err != nil {
		return nil, err
	}
	if b, err = appendText(append(b, ','), string(r.Lineage), r.Lineage == nil); err != nil {
		return nil, t.refuse(r, "_lineage", err)
	}
	for i, c := range t.columns {
		text, null := "", r.Columns[i].IsNull()
		if !null {
			text, err = c.encode(r.Columns[i])
		}
		if err == nil {
			b, err = appendText(append(b, ','), text, null)
		}
		if err != nil {
			return nil, t.refuse(r, c.name, err)
		}
	}
	return append(b, ']'), nil
}

// appendRemoval gives document, key, version and partition.
func appendRemoval(b []byte, t *table, partition int32, r stream.RowWrite) ([]byte, error) {
	b, err := appendID(b, t, partition, r)
	return append(b, ']'), err
}

func appendID(b []byte, t *table, partition int32, r stream.RowWrite) ([]byte, error) {
	for i, text := range []string{r.Document, r.Key, strconv.FormatInt(r.Version.Pack(), 10), strconv.Itoa(int(partition))} {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		err := checkText(text)
		if err == nil {
			b, err = appendText(append(b, sep), text, false)
		}
		if err != nil {
			return nil, t.refuse(r, ownColumns[i].name, err)
		}
	}
	return b, nil
}

func appendText(b []byte, text string, null bool) ([]byte, error) {
	if null {
		return append(b, "null"...), nil
	}
	return jsonvalue.AppendString(b, text)
}

// refuse says which value the table can't hold. The target stops: skipping the row would lose it, changing it would lie.
func (t *table) refuse(r stream.RowWrite, column string, err error) error {
	return &stream.Error{Op: "write to table " + t.name + " in snowflake", Doc: r.Document, Kind: stream.Usage,
		Err: fmt.Errorf("column %s: %w; change the flow so that it does not produce this value", column, err)}
}

// eachTable gives the last write of every row in b, by table, see place.LastWrites.
func (s *Sink) eachTable(b stream.Batch, do func(t *table, upserts, deletes []stream.RowWrite) error) error {
	last := place.LastWrites(b)
	for name := range last {
		if s.tables[name] == nil {
			return stream.Errorf(stream.Internal, s.op("write to"), "it does not keep table %s", name)
		}
	}
	for _, t := range s.order {
		upserts, deletes := place.Split(last[t.decl.Name])
		if err := do(t, upserts, deletes); err != nil {
			return err
		}
	}
	return nil
}
