package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet-dev/freshet/stream"
)

var (
	errNUL  = errors.New("Postgres can't hold the character U+0000 in text")
	errUTF8 = errors.New("the text is no valid UTF-8")
)

func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return errNUL
	}
	if !utf8.ValidString(s) {
		return errUTF8
	}
	return nil
}

// encode gives the value in a form that pgx sends as the column's type without loss; nil for null.
func (c column) encode(v stream.Value) (any, error) {
	if v.IsNull() {
		return nil, nil
	}
	if c.catalog == "jsonb" {
		return appendJSON(nil, v)
	}
	if v.Kind() != c.declared.Kind {
		return nil, fmt.Errorf("it is declared as %s and got a %s", c.declared, v.Kind())
	}
	switch v.Kind() {
	case stream.Bool:
		return v.Bool(), nil
	case stream.Int:
		return v.Int(), nil
	case stream.Double:
		return v.Double(), nil
	case stream.Decimal:
		unscaled, scale := v.Decimal()
		return pgtype.Numeric{Int: unscaled, Exp: int32(-scale), Valid: true}, nil
	case stream.Timestamp:
		return v.Time(), nil
	case stream.Bytes:
		return []byte(v.Str()), nil
	case stream.Vector:
		return c.encodeVector(v)
	}
	return v.Str(), checkText(v.Str())
}

// encodeVector writes pgvector's binary form: dimensions and a zero, each in two bytes, then the elements, big-endian.
func (c column) encodeVector(v stream.Value) ([]byte, error) {
	if v.Elem() != c.declared.Element || c.dims > 0 && v.Dims() != c.dims {
		return nil, fmt.Errorf("it is declared as %s and got a %s vector of %d dimensions", c.declared, v.Elem(), v.Dims())
	}
	if v.Dims() == 0 || v.Dims() > maxDims {
		return nil, fmt.Errorf("pgvector can't hold a vector of %d dimensions", v.Dims())
	}
	if !finite(v) {
		return nil, errors.New("pgvector can't hold a vector with NaN or infinity")
	}
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 4+len(v.Raw())), uint16(v.Dims()))
	return swapped(append(b, 0, 0), v.Raw(), v.Elem().Size()), nil
}

func (c column) decodeVector(b []byte) (stream.Value, error) {
	if len(b) < 4 {
		return stream.Value{}, fmt.Errorf("a vector of %d bytes", len(b))
	}
	return stream.RawVectorOf(c.declared.Element, swapped(nil, string(b[4:]), c.declared.Element.Size()))
}

// swapped appends raw with the bytes of each element reversed.
func swapped(b []byte, raw string, size int) []byte {
	start := len(b)
	b = append(b, raw...)
	for e := range slices.Chunk(b[start:], size) {
		slices.Reverse(e)
	}
	return b
}

// finite looks at the exponents, which are all ones in NaN and infinity.
func finite(v stream.Value) bool {
	raw := []byte(v.Raw())
	for e := range slices.Chunk(raw, v.Elem().Size()) {
		if v.Elem() == stream.F16 {
			const exponent = 0x7c00
			if binary.LittleEndian.Uint16(e)&exponent == exponent {
				return false
			}
		} else if f := float64(math.Float32frombits(binary.LittleEndian.Uint32(e))); math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}

// encodeLineage passes JSON through; jsonb can't hold an escaped NUL.
func encodeLineage(lineage []byte) (any, error) {
	if lineage == nil {
		return nil, nil
	}
	if bytes.Contains(lineage, []byte(`\u0000`)) {
		return nil, errNUL
	}
	return lineage, nil
}
