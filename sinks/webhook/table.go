package webhook

import (
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// table is a declared table and the name that the receiver knows it by.
type table struct {
	stream.Table
	as string
}

func newTables(declared []stream.TargetTable) ([]*table, error) {
	var tables []*table
	taken := map[string]string{}
	for _, d := range declared {
		t := &table{d.Table, d.As()}
		if other, found := taken[t.as]; found {
			return nil, stream.Errorf(stream.Usage, configuring, "tables %s and %s would both be %q at the receiver; give one of them another name by its setting `table`",
				other, t.Name, t.as)
		}
		taken[t.as] = t.Name
		tables = append(tables, t)
	}
	return tables, nil
}

func (s *Sink) table(name string) (*table, error) {
	for _, t := range s.tables {
		if t.Name == name {
			return t, nil
		}
	}
	return nil, stream.Errorf(stream.Internal, s.op("use a table of"), "table %q is not one of this target's", name)
}

// column is a column as the receiver is told of it.
type column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func (t *table) columns() []column {
	all := make([]column, len(t.Columns))
	for i, f := range t.Columns {
		all[i] = column{f.Name, f.Type.String()}
	}
	return all
}

// declarationOf is the text that the receiver keeps beside the columns: it no longer fits columns that were altered by hand.
func declarationOf(columns []column) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = fmt.Sprintf("%q %s", c.Name, c.Type)
	}
	return "layout 1: " + strings.Join(parts, ", ")
}

// encode writes a row's columns as a JSON object.
func (t *table) encode(columns []stream.Value) ([]byte, error) {
	if len(columns) != len(t.Columns) {
		return nil, fmt.Errorf("%d columns, want %d", len(columns), len(t.Columns))
	}
	return jsonvalue.AppendRow(nil, t.Columns, columns)
}

// Round writes the columns and reads them again: kinds that JSON lacks come back as strings where no type is declared. See stream.Rounder.
func (s *Sink) Round(name string, columns []stream.Value) ([]stream.Value, error) {
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	text, err := t.encode(columns)
	if err == nil {
		columns, err = jsonvalue.ParseRow(string(text), t.Columns)
	}
	if err != nil {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "table %s: %w", name, err)
	}
	return columns, nil
}
