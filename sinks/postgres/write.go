package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet-dev/freshet/stream"
)

// Bounds of one statement; a batch that is larger takes several in its transaction.
const (
	maxRows  = 5000
	maxBytes = 8 << 20
)

// arguments turns a row into the values of one statement's arrays.
type arguments func(t *table, r stream.RowWrite) ([]any, error)

// write runs sql, a statement over arrays, for all rows, in pieces.
func write(ctx context.Context, tx pgx.Tx, t *table, sql string, args arguments, partition int32, rows []stream.RowWrite) error {
	var arrays []pgtype.FlatArray[any]
	bytes := 0
	for i, r := range rows {
		values, err := args(t, r)
		if err != nil {
			return err
		}
		if arrays == nil {
			arrays = make([]pgtype.FlatArray[any], len(values))
		}
		for c, v := range values {
			arrays[c] = append(arrays[c], v)
			bytes += size(v)
		}
		if i == len(rows)-1 || len(arrays[0]) == maxRows || bytes >= maxBytes {
			if err := flush(ctx, tx, sql, partition, arrays); err != nil {
				return t.explain(err, rows)
			}
			arrays, bytes = nil, 0
		}
	}
	return nil
}

func flush(ctx context.Context, tx pgx.Tx, sql string, partition int32, arrays []pgtype.FlatArray[any]) error {
	all := []any{partition}
	for _, a := range arrays {
		all = append(all, a)
	}
	_, err := tx.Exec(ctx, sql, all...)
	return err
}

// explain names the table, and where a limit was exceeded the longest key: an index entry holds 2704 bytes after compression.
func (t *table) explain(err error, rows []stream.RowWrite) error {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return err
	}
	if refusal.Code != programLimit {
		return fmt.Errorf("table %q: %w", t.name, err)
	}
	longest := slices.MaxFunc(rows, func(a, b stream.RowWrite) int {
		return cmp.Compare(len(a.Document)+len(a.Key), len(b.Document)+len(b.Key))
	})
	return fmt.Errorf("table %q (its longest key, of document %.100q, has %d bytes with the document ID; an index entry holds 2704): %w",
		t.name, longest.Document, len(longest.Document)+len(longest.Key), err)
}

// size estimates what a value takes on the wire.
func size(v any) int {
	switch v := v.(type) {
	case []byte:
		return len(v) + 4
	case string:
		return len(v) + 4
	}
	return 12
}

// upsert gives document, key, version, lineage and the columns.
func upsert(t *table, r stream.RowWrite) ([]any, error) {
	if len(r.Columns) != len(t.columns) {
		return nil, stream.Errorf(stream.Internal, "write to table "+t.name, "a row has %d columns, the table %d", len(r.Columns), len(t.columns))
	}
	values, err := removal(t, r)
	if err != nil {
		return nil, err
	}
	lineage, err := encodeLineage(r.Lineage)
	if err != nil {
		return nil, t.refuse(r, "_lineage", err)
	}
	values = append(values, lineage)
	for i, c := range t.columns {
		v, err := c.encode(r.Columns[i])
		if err != nil {
			return nil, t.refuse(r, c.name, err)
		}
		values = append(values, v)
	}
	return values, nil
}

// removal gives document, key and version.
func removal(t *table, r stream.RowWrite) ([]any, error) {
	if err := checkText(r.Document); err != nil {
		return nil, t.refuse(r, "_document", err)
	}
	if err := checkText(r.Key); err != nil {
		return nil, t.refuse(r, "_key", err)
	}
	return []any{r.Document, r.Key, r.Version.Pack()}, nil
}

// refuse says which value the table can't hold. The target stops: skipping the row would lose it, changing it would lie.
func (t *table) refuse(r stream.RowWrite, column string, err error) error {
	return &stream.Error{Op: "write to table " + t.name + " in postgres", Doc: r.Document, Kind: stream.Usage,
		Err: fmt.Errorf("column %s: %w; change the flow so that it does not produce this value", column, err)}
}
