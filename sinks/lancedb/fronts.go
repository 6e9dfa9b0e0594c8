package lancedb

import (
	"context"
	"maps"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/freshet-dev/freshet/sinks/guard"
)

var _ guard.Fronts = (*store)(nil)

// frontsTable has a row for each front: a pointer that readers look up, since a table has one name in the protocol.
const frontsTable = "freshet_fronts"

// Its columns.
const (
	frontName  = "name"
	frontShows = "shows" // a table, by the name that it has on the server
)

func newFronts() *place {
	return newPlace(frontsTable, arrow.NewSchema([]arrow.Field{
		{Name: frontName, Type: arrow.BinaryTypes.String, Metadata: primaryKey},
		{Name: frontShows, Type: arrow.BinaryTypes.String},
	}, nil))
}

// Front implements guard.Fronts. A front that was altered by hand shows no table that is declared.
func (s *store) Front(ctx context.Context, front string) (shown string, taken bool, err error) {
	if _, err := s.describe(ctx, &place{name: escaped(front)}); !isAbsent(err) {
		return "", err == nil, err
	}
	err = s.ask(ctx, "look at a front", s.fronts, question{K: 1, Filter: frontName + " = " + quoted(front)}, func(a answer, row int) error {
		shown = a.text(frontShows, row)
		return nil
	})
	for _, t := range s.tables {
		if t.place.name == shown {
			return t.As, false, err
		}
	}
	return shown, false, err
}

// Switch implements guard.Fronts, by one commit.
func (s *store) Switch(ctx context.Context, tables map[string]string) error {
	b := array.NewRecordBuilder(memory.DefaultAllocator, s.fronts.schema)
	defer b.Release()
	for _, front := range slices.Sorted(maps.Keys(tables)) {
		b.Field(0).(*array.StringBuilder).Append(front)
		b.Field(1).(*array.StringBuilder).Append(escaped(tables[front]))
	}
	_, err := s.merge(ctx, "switch fronts", s.fronts, b.NewRecordBatch(),
		merge{on: frontName, when: "target." + frontShows + " != source." + frontShows, insert: true})
	return err
}

// hide removes the fronts that show a table.
func (s *store) hide(ctx context.Context, p *place) error {
	if s.fronts == nil {
		return nil
	}
	return s.remove(ctx, "remove fronts", s.fronts, frontShows+" = "+quoted(p.name))
}
