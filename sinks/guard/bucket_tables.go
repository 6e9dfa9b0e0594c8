package guard

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A table in buckets is its bucket, and a document that says what columns were made: there is nothing else to make.
const shapes = "freshet/shape/"

// Shape is what the table's document says; a bucket without one is a stranger's.
func (s *bucketStore) Shape(ctx context.Context, table string) (string, bool, error) {
	d, err := s.Get(ctx, shapes+table)
	if err != nil || d.Sequence > 0 {
		return string(d.Body), len(d.Body) > 0, err
	}
	found := false
	err = s.Each(ctx, table, func([]byte) error {
		found = true
		return nil
	})
	return "of something else", found, err
}

// Create notes the columns.
func (s *bucketStore) Create(ctx context.Context, t Table) error {
	names := make([]string, len(t.Columns))
	for n, c := range t.Columns {
		names[n] = fmt.Sprintf("%q %s", c.Name, c.Type)
	}
	d, err := s.Get(ctx, shapes+t.As)
	if err != nil || len(d.Body) > 0 {
		return err
	}
	_, err = s.Swap(ctx, d, []byte("columns: "+strings.Join(names, ", ")))
	if errors.Is(err, ErrConflict) {
		return nil // a twin made it
	}
	return err
}

// Drop empties the document, then removes the rows: killed in between, it leaves a table that is absent, so all that was
// in it is read again, and rows that the rebuild overwrites or buries.
func (s *bucketStore) Drop(ctx context.Context, table string) error {
	d, err := s.Get(ctx, shapes+table)
	if err == nil && len(d.Body) > 0 {
		_, err = s.Swap(ctx, d, nil)
	}
	if err != nil {
		return err
	}
	return s.remove(ctx, table, func(Item) bool { return true })
}
