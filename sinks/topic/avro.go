package topic

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// asAvro writes a row as an Avro record whose fields are the columns, each of them nullable. Kinds that Avro has are written
// as these; decimals as text, the others as JSON in a string.
type asAvro struct {
	columns []stream.Field
	text    []byte
}

type avroField struct {
	Name    string `json:"name"`
	Type    []any  `json:"type"`
	Default any    `json:"default"`
	Doc     string `json:"doc"`
}

func newAvro(t stream.Table) (asAvro, error) {
	fields, taken := []avroField{}, map[string]string{}
	for _, c := range t.Columns {
		name := avroName(c.Name)
		if other, found := taken[name]; found {
			return asAvro{}, fmt.Errorf("columns %q and %q would both be field %s", other, c.Name, name)
		}
		taken[name] = c.Name
		fields = append(fields, avroField{Name: name, Type: []any{"null", avroType(c.Type)}, Doc: c.Name + ": " + c.Type.String()})
	}
	text, err := json.Marshal(struct {
		Type      string      `json:"type"`
		Name      string      `json:"name"`
		Namespace string      `json:"namespace"`
		Fields    []avroField `json:"fields"`
	}{"record", avroName(t.Name), "freshet", fields})
	return asAvro{t.Columns, text}, err
}

// avroName writes what a name of Avro can't have as _xXX, byte by byte.
func avroName(name string) string {
	var b []byte
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_', '0' <= c && c <= '9' && i > 0:
			b = append(b, c)
		default:
			b = fmt.Appendf(b, "_x%02X", c)
		}
	}
	return string(b)
}

func avroType(t stream.Type) any {
	switch {
	case t.Kind == stream.Bool:
		return "boolean"
	case t.Kind == stream.Int:
		return "long"
	case t.Kind == stream.Double:
		return "double"
	case t.Kind == stream.Bytes, jsonvalue.IsRaw(t):
		return "bytes"
	case t.Kind == stream.Timestamp:
		return map[string]string{"type": "long", "logicalType": "timestamp-nanos"}
	case t.Kind == stream.Vector:
		return map[string]string{"type": "array", "items": "float"}
	}
	return "string"
}

func (c asAvro) schema() []byte { return c.text }

func (c asAvro) encode(columns []stream.Value) ([]byte, error) {
	b := []byte{}
	for i, f := range c.columns {
		if columns[i].IsNull() {
			b = append(b, 0)
			continue
		}
		var err error
		if b, err = appendAvro(append(b, 2), columns[i], f.Type); err != nil {
			return nil, fmt.Errorf("column %s: %w", f.Name, err)
		}
	}
	return b, nil
}

func appendAvro(b []byte, v stream.Value, t stream.Type) ([]byte, error) {
	switch {
	case t.Kind == stream.Bool && v.Bool():
		return append(b, 1), nil
	case t.Kind == stream.Bool:
		return append(b, 0), nil
	case t.Kind == stream.Int:
		return binary.AppendVarint(b, v.Int()), nil
	case t.Kind == stream.Double:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Double())), nil
	case t.Kind == stream.String && !utf8.ValidString(v.Str()):
		return nil, errors.New("text that is not UTF-8")
	case t.Kind == stream.Bytes, t.Kind == stream.String:
		return appendBytes(b, v.Str()), nil
	case jsonvalue.IsRaw(t):
		return appendBytes(b, v.Raw()), nil
	case t.Kind == stream.Decimal:
		return appendBytes(b, v.DecimalText()), nil
	case t.Kind == stream.Timestamp:
		return binary.AppendVarint(b, v.Time().UnixNano()), nil
	case t.Kind == stream.Vector:
		if v.Dims() > 0 {
			b = binary.AppendVarint(b, int64(v.Dims()))
		}
		return append(append(b, v.Raw()...), 0), nil
	}
	text, err := jsonvalue.Append(nil, v)
	return appendBytes(b, string(text)), err
}

func appendBytes(b []byte, s string) []byte {
	return append(binary.AppendVarint(b, int64(len(s))), s...)
}

var errAvro = errors.New("its value is not what the schema says")

func (c asAvro) decode(value []byte) ([]stream.Value, error) {
	r := reader{b: value}
	columns := make([]stream.Value, len(c.columns))
	for i, f := range c.columns {
		switch r.long() {
		case 0:
		case 1:
			var err error
			if columns[i], err = r.value(f.Type); err != nil {
				return nil, fmt.Errorf("column %s: %w", f.Name, err)
			}
		default:
			r.failed = true
		}
	}
	if r.failed || len(r.b) > 0 {
		return nil, errAvro
	}
	return columns, nil
}

// reader reads Avro's primitives until the first that is malformed, after which all is zero.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.b, r.failed = nil, true
		return make([]byte, 8)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) long() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.b, r.failed = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) value(t stream.Type) (stream.Value, error) {
	switch {
	case t.Kind == stream.Bool:
		return stream.BoolOf(r.take(1)[0] == 1), nil
	case t.Kind == stream.Int:
		return stream.IntOf(r.long()), nil
	case t.Kind == stream.Double:
		return stream.DoubleOf(math.Float64frombits(binary.LittleEndian.Uint64(r.take(8)))), nil
	case t.Kind == stream.Bytes:
		return stream.BytesOf(r.take(r.long())), nil
	case t.Kind == stream.String:
		return stream.StringOf(string(r.take(r.long()))), nil
	case jsonvalue.IsRaw(t):
		return jsonvalue.RawVector(r.take(r.long()), t)
	case t.Kind == stream.Timestamp:
		return stream.TimestampOf(time.Unix(0, r.long())), nil
	case t.Kind == stream.Vector:
		return r.vector()
	}
	text := string(r.take(r.long()))
	if t.Kind != stream.Decimal {
		return jsonvalue.Parse(text, t)
	}
	v, ok := stream.ParseDecimal(text)
	if !ok {
		return v, errAvro
	}
	return v, nil
}

// vector reads an array of float as it is written: one block.
func (r *reader) vector() (stream.Value, error) {
	n := r.long()
	if n == 0 {
		return stream.VectorOf(nil), nil
	}
	if n < 0 || n > int64(len(r.b)) {
		return stream.Value{}, errAvro
	}
	v, err := stream.RawVectorOf(stream.F32, r.take(4*n))
	if r.long() != 0 {
		err = errAvro
	}
	return v, err
}
