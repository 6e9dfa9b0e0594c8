package qdrant

import (
	"encoding/base64"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// namespace of all point IDs.
var namespace = uuid.MustParse("6f0f0a5e-5d0c-5f6e-9d5b-467265736865")

// pointID is the UUID of version 5 of "<bytes>:<table>,<bytes>:<document>,<bytes>:<key>,", lengths in decimal.
func pointID(table, document, key string) *qdrant.PointId {
	name := fmt.Sprintf("%d:%s,%d:%s,%d:%s,", len(table), table, len(document), document, len(key), key)
	return qdrant.NewIDUUID(uuid.NewSHA1(namespace, []byte(name)).String())
}

// point returns a row, or its tombstone, as a point.
func (t *table) point(i guard.Item) (*qdrant.PointStruct, error) {
	if !utf8.ValidString(i.Document) || !utf8.ValidString(i.Key) {
		return nil, t.faulty(i, fmt.Errorf("the document's ID or the row's key %.80q is not UTF-8, which Qdrant can't keep", i.Key))
	}
	payload := map[string]*qdrant.Value{
		documentKey: qdrant.NewValueString(i.Document), keyKey: qdrant.NewValueString(i.Key),
		versionKey: qdrant.NewValueInt(i.Version.Pack()), epochKey: qdrant.NewValueInt(i.Epoch),
		partitionKey: qdrant.NewValueInt(int64(i.Partition)), atKey: qdrant.NewValueInt(i.At.UnixMilli()),
	}
	vectors := map[string]*qdrant.Vector{}
	if i.Delete {
		payload[deletedKey] = qdrant.NewValueBool(true)
	} else {
		payload[lineageKey] = qdrant.NewValueString(string(i.Lineage))
		if err := t.columns(i, payload, vectors); err != nil {
			return nil, err
		}
	}
	return &qdrant.PointStruct{Id: pointID(t.As, i.Document, i.Key), Payload: payload, Vectors: qdrant.NewVectorsMap(vectors)}, nil
}

func (t *table) faulty(i guard.Item, err error) error {
	return &stream.Error{Op: "write to table " + t.As, Doc: i.Document, Kind: stream.Usage, Err: err}
}

// columns adds the row's values to payload and vectors.
func (t *table) columns(i guard.Item, payload map[string]*qdrant.Value, vectors map[string]*qdrant.Vector) error {
	exact := map[string]*qdrant.Value{}
	for n, c := range t.Columns {
		v, same := i.Columns[n], true
		var err error
		if isVector(c) {
			var vector *qdrant.Vector
			if vector, same, err = t.vectorOf(c, v); vector != nil {
				vectors[escaped(c.Name)] = vector
			}
		} else if payload[c.Name], same, err = payloadOf(v); err == nil && !fits(v, c.Type) {
			err = fmt.Errorf("a %s in a column of %s", v.Kind(), c.Type)
		}
		if err != nil {
			return t.faulty(i, fmt.Errorf("column %s: %w", c.Name, err))
		}
		if !same && !(isText(c.Type.Kind) && readColumn(c, payload[c.Name], nil).Equal(v)) {
			exact[c.Name] = qdrant.NewValueString(base64.StdEncoding.EncodeToString(stream.AppendValue(nil, v)))
		}
	}
	if len(exact) > 0 {
		payload[exactKey] = qdrant.NewValueStruct(&qdrant.Struct{Fields: exact})
	}
	return nil
}

func fits(v stream.Value, t stream.Type) bool {
	return v.IsNull() || v.Kind() == t.Kind || t.Kind == stream.Dynamic || t.Kind == stream.Null
}

// row undoes point. vectors are those that were asked for.
func (t *table) row(payload map[string]*qdrant.Value, vectors map[string]*qdrant.VectorOutput) (guard.Item, error) {
	i := guard.Item{Partition: int32(payload[partitionKey].GetIntegerValue()), Epoch: payload[epochKey].GetIntegerValue(),
		At: time.UnixMilli(payload[atKey].GetIntegerValue())}
	i.Table, i.Document, i.Key = t.As, payload[documentKey].GetStringValue(), payload[keyKey].GetStringValue()
	i.Version, i.Delete = stream.Unpack(payload[versionKey].GetIntegerValue()), payload[deletedKey].GetBoolValue()
	i.Lineage = []byte(payload[lineageKey].GetStringValue())
	exact := payload[exactKey].GetStructValue().GetFields()
	i.Columns = make([]stream.Value, len(t.Columns))
	for n, c := range t.Columns {
		var err error
		if isVector(c) {
			i.Columns[n], err = t.readVectorColumn(c, vectors[escaped(c.Name)], exact[c.Name])
		} else {
			i.Columns[n] = readColumn(c, payload[c.Name], exact[c.Name])
		}
		if err != nil {
			return i, stream.Errorf(stream.Internal, "read table "+t.As, "document %s, column %s: %w", i.Document, c.Name, err)
		}
	}
	return i, nil
}

// readColumn prefers what was kept exactly, unless the payload is no longer what was written with it.
func readColumn(c stream.Field, held, exact *qdrant.Value) stream.Value {
	if v, ok := kept(exact); ok {
		if p, _, err := payloadOf(v); err == nil && agree(p, held) {
			return v
		}
	}
	v := valueOf(held)
	switch {
	case c.Type.Kind == stream.Double && v.Kind() == stream.Int:
		return stream.DoubleOf(float64(v.Int()))
	case v.Kind() == stream.String:
		return parsed(v, c.Type.Kind)
	}
	return v
}

// isText reports whether payload holds a column of this kind as text that says all.
func isText(k stream.Kind) bool {
	return k == stream.Decimal || k == stream.Bytes || k == stream.Timestamp
}

// parsed reads what payloadOf wrote as text for a column of one kind; text of another form stays text.
func parsed(v stream.Value, kind stream.Kind) stream.Value {
	switch kind {
	case stream.Decimal:
		if d, ok := stream.ParseDecimal(v.Str()); ok {
			return d
		}
	case stream.Bytes:
		if raw, err := base64.StdEncoding.DecodeString(v.Str()); err == nil {
			return stream.BytesOf(raw)
		}
	case stream.Timestamp:
		if at, err := time.Parse(time.RFC3339Nano, v.Str()); err == nil {
			return stream.TimestampOf(at)
		}
	}
	return v
}

func (t *table) readVectorColumn(c stream.Field, held *qdrant.VectorOutput, exact *qdrant.Value) (stream.Value, error) {
	v, err := readVector(c, held)
	if written, ok := kept(exact); ok && err == nil && t.sameVector(written, v) {
		return written, nil
	}
	return v, err
}

func kept(exact *qdrant.Value) (stream.Value, bool) {
	raw, err := base64.StdEncoding.DecodeString(exact.GetStringValue())
	if err != nil || len(raw) == 0 {
		return stream.Value{}, false
	}
	v, err := stream.DecodeValue(raw)
	return v, err == nil
}
