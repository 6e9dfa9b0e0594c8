package redis

import (
	"context"
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
)

// Fields of a table's header.
const (
	columnsField = "columns"
	rowsField    = "rows"
)

// header is what is noted of a table: nothing of one that was never made.
type header struct {
	columns string // "" while it is made anew
	rows    string
	made    bool
}

func (s *store) header(ctx context.Context, t *table) (h header, err error) {
	held, err := s.do(ctx, s.client.B().Hgetall().Key(t.header).Build()).AsStrMap()
	if err != nil {
		return h, s.classed("look at a table", err)
	}
	h.columns, h.made = held[columnsField]
	h.rows = held[rowsField]
	return h, nil
}

// Shape is what the header says. Rows without a header are a stranger's; a table whose header counts rows of which none is left was emptied by hand,
// so it does not exist. See guard.Tables.
func (s *store) Shape(ctx context.Context, name string) (shape string, exists bool, err error) {
	t, err := s.table(name)
	if err != nil {
		return "", false, err
	}
	h, err := s.header(ctx, t)
	switch {
	case err != nil || h.made && h.columns == "":
		return "", false, err
	case h.rows == "0":
		return h.columns, true, nil
	}
	rows, err := s.holdsRows(ctx, t)
	if !h.made {
		return "keys that start with " + t.rows, rows, err
	}
	return h.columns, rows, err
}

func (s *store) holdsRows(ctx context.Context, t *table) (rows bool, err error) {
	err = s.walk(ctx, t, 0, func(uint64, []string) error {
		rows = true
		return errEnough
	})
	return rows, err
}

// Create notes the columns, unless a twin did. See guard.Tables.
func (s *store) Create(ctx context.Context, kept guard.Table) error {
	t, err := s.table(kept.As)
	if err != nil {
		return err
	}
	h, err := s.header(ctx, t)
	if err != nil {
		return err
	}
	if _, exists, err := s.Shape(ctx, kept.As); err != nil || exists && h.made {
		return err
	}
	names := make([]string, len(t.Columns))
	for n, c := range t.Columns {
		names[n] = fmt.Sprintf("%q %s", c.Name, c.Type)
	}
	_, err = s.run(ctx, "make a table", headerScript, []string{t.header}, []string{"columns: " + strings.Join(names, ", "), h.columns, h.rows})
	return err
}

// Drop empties the header, which ends all writes, then removes the rows and the tombstones. Killed in between, it leaves a table that does not exist,
// so all that was in it is read again, and rows that the rebuild overwrites or buries. See guard.Tables.
func (s *store) Drop(ctx context.Context, name string) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	empty := s.client.B().Hset().Key(t.header).FieldValue().FieldValue(columnsField, "").FieldValue(rowsField, "0").Build()
	if err := s.do(ctx, empty).Error(); err != nil {
		return s.classed("drop a table", err)
	}
	err = s.walk(ctx, t, 0, func(_ uint64, names []string) error {
		return s.classed("drop rows", s.do(ctx, s.client.B().Unlink().Key(names...).Build()).Error())
	})
	if err != nil {
		return err
	}
	return s.classed("drop tombstones", s.do(ctx, s.client.B().Unlink().Key(t.gone, t.goneAt).Build()).Error())
}
