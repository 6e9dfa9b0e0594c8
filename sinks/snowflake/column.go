package snowflake

import (
	"fmt"
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

const (
	integer     = "NUMBER(19,0)" // what holds 64 bits
	maxDigits   = 38             // of a NUMBER
	maxDims     = 4096           // of a VECTOR
	vectorType  = "VECTOR"
	arrayType   = "ARRAY"
	variantType = "VARIANT"
)

// column is one as Snowflake keeps it.
type column struct {
	name     string
	declared stream.Type
	sql      string // type as in CREATE TABLE
	required bool   // NOT NULL
}

// deletedColumn is a stage's further one: a deletion that the live table saw during the rebuild must win over older records that the
// stage has still to read.
var deletedColumn = column{name: "_deleted", sql: "BOOLEAN", required: true}

var scalarTypes = map[stream.Kind]string{
	stream.Bool:        "BOOLEAN",
	stream.Int:         integer,
	stream.Double:      "DOUBLE",
	stream.String:      "VARCHAR",
	stream.Bytes:       "BINARY",
	stream.Timestamp:   "TIMESTAMP_NTZ(6)",
	stream.List:        variantType,
	stream.Map:         variantType,
	stream.Dynamic:     variantType,
	stream.Null:        variantType,
	stream.Vector:      arrayType,
	stream.MultiVector: arrayType,
	stream.Sparse:      variantType,
}

// newColumn chooses the column's type, or refuses it. vectors says that f32 vectors get Snowflake's own type.
func newColumn(table string, f stream.Field, vectors bool) (column, error) {
	c := column{name: f.Name, declared: f.Type, sql: scalarTypes[f.Type.Kind]}
	if err := checkColumnName(table, f.Name); err != nil {
		return c, err
	}
	switch {
	case f.Type.Kind == stream.Decimal:
		if f.Type.Scale < 0 || f.Type.Scale >= maxDigits {
			return c, refuseColumn(table, f, "Snowflake keeps up to 37 digits after the point")
		}
		c.sql = fmt.Sprintf("NUMBER(%d,%d)", maxDigits, f.Type.Scale)
	case vectors && f.Type.Kind == stream.Vector && f.Type.Element == stream.F32:
		if f.Type.Dims < 1 || f.Type.Dims > maxDims {
			return c, refuseColumn(table, f, fmt.Sprintf("a VECTOR has 1 to %d dimensions, which must be declared; set `vectors: array`", maxDims))
		}
		c.sql = vectorType + "(FLOAT, " + strconv.Itoa(f.Type.Dims) + ")"
	}
	return c, nil
}

func refuseColumn(table string, f stream.Field, why string) error {
	return stream.Errorf(stream.Usage, configuring, "column %s of table %s is a %s: %s", f.Name, table, f.Type, why)
}

// isVector reports whether the column is of Snowflake's own vector type.
func (c column) isVector() bool {
	return len(c.sql) > len(vectorType) && c.sql[:len(vectorType)] == vectorType
}

// definition is the column's part of CREATE TABLE.
func (c column) definition() string {
	if c.required {
		return quote(c.name) + " " + c.sql + " NOT NULL"
	}
	return quote(c.name) + " " + c.sql
}

// parse is the expression that makes the column's value of text; null of null.
func (c column) parse(text string) string {
	switch {
	case c.sql == "VARCHAR":
		return text
	case c.sql == "BINARY":
		return "TO_BINARY(" + text + ", 'HEX')"
	case c.declared.Kind == stream.Timestamp:
		return "TO_TIMESTAMP_NTZ(" + text + "::" + integer + ", 6)"
	case c.sql == variantType:
		return "PARSE_JSON(" + text + ")"
	case c.sql == arrayType:
		return "PARSE_JSON(" + text + ")::ARRAY"
	case c.isVector():
		return "PARSE_JSON(" + text + ")::ARRAY::" + c.sql
	}
	return text + "::" + c.sql
}

// selection reads the column in a form whose decoding loses nothing: text, but for bool, double and binary.
func (c column) selection() string {
	name := quote(c.name)
	switch {
	case c.declared.Kind == stream.Timestamp:
		return "DATE_PART(EPOCH_MICROSECOND, " + name + ")::VARCHAR"
	case c.sql == variantType || c.sql == arrayType:
		return "TO_JSON(" + name + ")"
	case c.isVector():
		return "TO_JSON(" + name + "::ARRAY)"
	case c.sql == integer || c.declared.Kind == stream.Decimal:
		return name + "::VARCHAR"
	}
	return name
}
