package lancedb

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/freshet-dev/freshet/stream"
)

// Columns of a row beside the table's.
const (
	colID        = "_id"
	colDocument  = "_document"
	colKey       = "_key"
	colVersion   = "_version"
	colEpoch     = "_epoch"
	colPartition = "_partition"
	colDeleted   = "_deleted"
	colAt        = "_at" // milliseconds since 1970
	colLineage   = "_lineage"
	colExact     = "_exact"
)

// primaryKey has LanceDB notice that two commits insert one ID.
var primaryKey = arrow.NewMetadata([]string{"lance-schema:unenforced-primary-key"}, []string{"true"})

// ownFields come first in the schema. What guards a row can't be null, so that a row without it can't be put there by hand.
var ownFields = []arrow.Field{
	{Name: colID, Type: arrow.BinaryTypes.String, Metadata: primaryKey},
	{Name: colDocument, Type: arrow.BinaryTypes.String},
	{Name: colKey, Type: arrow.BinaryTypes.String},
	{Name: colVersion, Type: arrow.PrimitiveTypes.Int64},
	{Name: colEpoch, Type: arrow.PrimitiveTypes.Int64},
	{Name: colPartition, Type: arrow.PrimitiveTypes.Int32},
	{Name: colDeleted, Type: arrow.FixedWidthTypes.Boolean},
	{Name: colAt, Type: arrow.PrimitiveTypes.Int64},
	{Name: colLineage, Type: arrow.BinaryTypes.String, Nullable: true},
	{Name: colExact, Type: arrow.BinaryTypes.Binary, Nullable: true},
}

// arrow is the schema of a table. All its own columns are nullable: a tombstone has none.
func (t *table) arrow() *arrow.Schema {
	fields := slices.Clone(ownFields)
	for _, c := range t.columns {
		fields = append(fields, arrow.Field{Name: c.as, Type: arrowType(c.Type), Nullable: true})
	}
	return arrow.NewSchema(fields, nil)
}

// maxDigits is the precision of a decimal column, the most that 128 bits have.
const maxDigits = 38

// arrowType is what holds values of a type. What Arrow has no type for is JSON.
func arrowType(t stream.Type) arrow.DataType {
	switch t.Kind {
	case stream.List:
		if isPlainList(t) {
			return arrow.ListOf(arrowType(*t.Elem))
		}
	case stream.Vector:
		return arrow.FixedSizeListOf(int32(t.Dims), elementType(t.Element))
	case stream.MultiVector:
		return arrow.ListOf(arrow.FixedSizeListOf(int32(t.Dims), arrow.PrimitiveTypes.Float32))
	case stream.Sparse:
		return arrow.StructOf(arrow.Field{Name: "indices", Type: arrow.ListOf(arrow.PrimitiveTypes.Uint32), Nullable: true},
			arrow.Field{Name: "values", Type: arrow.ListOf(arrow.PrimitiveTypes.Float32), Nullable: true})
	}
	if scalar := scalarType(t); scalar != nil {
		return scalar
	}
	return arrow.BinaryTypes.String
}

// scalarType is nil for a type that is none, or has no equal in Arrow.
func scalarType(t stream.Type) arrow.DataType {
	switch t.Kind {
	case stream.Bool:
		return arrow.FixedWidthTypes.Boolean
	case stream.Int:
		return arrow.PrimitiveTypes.Int64
	case stream.Double:
		return arrow.PrimitiveTypes.Float64
	case stream.String:
		return arrow.BinaryTypes.String
	case stream.Bytes:
		return arrow.BinaryTypes.Binary
	case stream.Timestamp:
		return arrow.FixedWidthTypes.Timestamp_ns
	case stream.Decimal:
		if t.Scale >= 0 && t.Scale <= maxDigits {
			return &arrow.Decimal128Type{Precision: maxDigits, Scale: int32(t.Scale)}
		}
	}
	return nil
}

func elementType(e stream.Element) arrow.DataType {
	switch e {
	case stream.I8:
		return arrow.PrimitiveTypes.Int8
	case stream.F16:
		return arrow.FixedWidthTypes.Float16
	}
	return arrow.PrimitiveTypes.Float32
}

// isPlainList reports whether a type is a list of scalars that Arrow has.
func isPlainList(t stream.Type) bool {
	return t.Kind == stream.List && t.Elem != nil && scalarType(*t.Elem) != nil
}
