package postgres

import (
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// maxDims is what pgvector can store; maxIndexed what its HNSW index can take.
const maxDims = 16000

var maxIndexed = map[stream.Element]int{stream.F32: 2000, stream.F16: 4000}

// column is a declared column as Postgres keeps it.
type column struct {
	name     string
	declared stream.Type
	sql      string // type without modifier, e.g. bigint, vector
	catalog  string // the same as pg_type names it, e.g. int8
	dims     int    // of a vector; 0: any
}

var scalarTypes = map[stream.Kind][2]string{
	stream.Bool:      {"boolean", "bool"},
	stream.Int:       {"bigint", "int8"},
	stream.Double:    {"double precision", "float8"},
	stream.Decimal:   {"numeric", "numeric"}, // no fixed scale, which would round
	stream.String:    {"text", "text"},
	stream.Bytes:     {"bytea", "bytea"},
	stream.Timestamp: {"timestamp with time zone", "timestamptz"},
	stream.List:      {"jsonb", "jsonb"},
	stream.Map:       {"jsonb", "jsonb"},
	stream.Dynamic:   {"jsonb", "jsonb"},
	stream.Null:      {"jsonb", "jsonb"},
}

// newColumn chooses the column's type, or refuses it.
func newColumn(table string, f stream.Field) (column, error) {
	c := column{name: f.Name, declared: f.Type}
	if err := checkColumnName(table, f.Name); err != nil {
		return c, err
	}
	if names, ok := scalarTypes[f.Type.Kind]; ok {
		c.sql, c.catalog = names[0], names[1]
		return c, nil
	}
	if f.Type.Kind != stream.Vector || f.Type.Element == stream.I8 {
		return c, refuseColumn(table, f, "pgvector has no such type; use f32 or f16 vectors, or leave the column out of this target")
	}
	if f.Type.Dims > maxDims {
		return c, refuseColumn(table, f, fmt.Sprintf("pgvector stores up to %d dimensions", maxDims))
	}
	c.sql, c.dims = "vector", f.Type.Dims
	if f.Type.Element == stream.F16 {
		c.sql = "halfvec"
	}
	c.catalog = c.sql
	return c, nil
}

func refuseColumn(table string, f stream.Field, why string) error {
	return stream.Errorf(stream.Usage, "configure target postgres", "column %s of table %s is a %s: %s", f.Name, table, f.Type, why)
}

// isVector reports whether the column needs pgvector.
func (c column) isVector() bool { return c.declared.Kind == stream.Vector }

// definition is the column's part of CREATE TABLE.
func (c column) definition() string { return quote(c.name) + " " + c.modified() }

func (c column) modified() string {
	if c.dims > 0 {
		return fmt.Sprintf("%s(%d)", c.sql, c.dims)
	}
	return c.sql
}

// selection reads the column in a form whose decoding loses nothing.
func (c column) selection() string {
	if c.catalog == "jsonb" || c.catalog == "numeric" {
		return quote(c.name) + "::text"
	}
	return quote(c.name)
}

// indexable says why the column can't have an HNSW index, or "".
func (c column) indexable() string {
	most := maxIndexed[c.declared.Element]
	switch {
	case !c.isVector():
		return "it is no vector"
	case c.dims == 0:
		return "its dimensions are unknown"
	case c.dims > most:
		return fmt.Sprintf("it has %d dimensions, HNSW takes up to %d of %s", c.dims, most, c.declared.Element)
	}
	return ""
}
