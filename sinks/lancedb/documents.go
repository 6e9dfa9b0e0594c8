package lancedb

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Columns of the table of bookkeeping.
const (
	bookName     = "name"
	bookBody     = "body"
	bookSequence = "sequence"
	bookReplaced = "replaced" // the sequence of the document that this one is in the place of
)

// newBooks is the table of bookkeeping.
func newBooks() *place {
	return newPlace(bookkeeping, arrow.NewSchema([]arrow.Field{
		{Name: bookName, Type: arrow.BinaryTypes.String, Metadata: primaryKey},
		{Name: bookBody, Type: arrow.BinaryTypes.Binary},
		{Name: bookSequence, Type: arrow.PrimitiveTypes.Int64},
		{Name: bookReplaced, Type: arrow.PrimitiveTypes.Int64},
	}, nil))
}

// page is the row of a document.
func (s *store) page(d guard.Document, replaced int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s.books.schema)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).Append(d.Key)
	b.Field(1).(*array.BinaryBuilder).Append(d.Body)
	b.Field(2).(*array.Int64Builder).Append(d.Sequence)
	b.Field(3).(*array.Int64Builder).Append(replaced)
	return b.NewRecordBatch()
}

func (a answer) document(row int) guard.Document {
	return guard.Document{Key: a.text(bookName, row), Body: []byte(valueAt(a.column(bookBody), row, stream.TypeBytes).Str()), Sequence: a.int(bookSequence, row)}
}

// Get reads a document. See guard.Documents.
func (s *store) Get(ctx context.Context, name string) (guard.Document, error) {
	d := guard.Document{Key: name}
	err := s.ask(ctx, "read bookkeeping", s.books, question{K: 1, Filter: bookName + " = " + quoted(name)}, func(a answer, row int) error {
		d = a.document(row)
		return nil
	})
	return d, err
}

// Swap replaces a document if it is still the one that was read, in one commit; the server counts the rows that it changed. Sequences are random: a
// table that is set back to an earlier version must not see one again that it has given away and forgotten. See guard.Documents.
func (s *store) Swap(ctx context.Context, held guard.Document, body []byte) (guard.Document, error) {
	next := guard.Document{Key: held.Key, Body: body, Sequence: 1 + rand.Int64N(1<<53-1)}
	m := merge{on: bookName, insert: true}
	if held.Sequence > 0 {
		m = merge{on: bookName, when: "target." + bookSequence + " = source." + bookReplaced}
	}
	o, err := s.merge(ctx, "write bookkeeping", s.books, s.page(next, held.Sequence), m)
	if err == nil && o.Updated+o.Inserted == 0 {
		err = fmt.Errorf("document %s: %w", held.Key, guard.ErrConflict)
	}
	if err != nil {
		return held, err
	}
	return next, nil
}

// List returns the documents whose names start with prefix, in order. See guard.Documents.
func (s *store) List(ctx context.Context, prefix string) (all []guard.Document, err error) {
	err = s.ask(ctx, "list bookkeeping", s.books, question{K: everything}, func(a answer, row int) error {
		if d := a.document(row); strings.HasPrefix(d.Key, prefix) {
			all = append(all, d)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b guard.Document) int { return cmp.Compare(a.Key, b.Key) })
	return all, err
}
