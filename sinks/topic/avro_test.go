package topic_test

import (
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
)

// every has a column of each kind.
var every = stream.Table{Name: "my table", Columns: []stream.Field{
	{Name: "any", Type: stream.TypeDynamic},
	{Name: "at", Type: stream.TypeTimestamp.OrNull()},
	{Name: "bool", Type: stream.TypeBool.OrNull()},
	{Name: "bytes", Type: stream.TypeBytes.OrNull()},
	{Name: "double", Type: stream.TypeDouble.OrNull()},
	{Name: "half", Type: stream.VectorType(stream.F16, 2).OrNull()},
	{Name: "int", Type: stream.TypeInt.OrNull()},
	{Name: "list of", Type: stream.ListType(stream.TypeInt).OrNull()},
	{Name: "null", Type: stream.TypeString.OrNull()},
	{Name: "price", Type: stream.Type{Kind: stream.Decimal, Scale: 2, Nullable: true}},
	{Name: "string", Type: stream.TypeString.OrNull()},
	{Name: "vector", Type: stream.VectorType(stream.F32, 2).OrNull()},
}}

// TestAvro: another library reads each record by the schema in its header, and the sink reads back what it wrote.
func TestAvro(t *testing.T) {
	s := newSpot(t, inProcess(t), "avro")
	sink, err := s.sink(stream.TargetTable{Table: every})
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	_, err = sink.Open(t.Context(), origin.Flow, origin.Target)
	must(t, err)
	assigned(t, sink)
	half, err := stream.RawVectorOf(stream.F16, []byte{0, 60, 0, 192})
	must(t, err)
	at := time.Date(2026, 10, 1, 12, 30, 0, 123_456_789, time.UTC)
	row := stream.RowWrite{RowID: stream.RowID{Table: every.Name, Document: "a", Key: "k"}, Version: stream.Version{Generation: 1}, Lineage: []byte(`{"document":"a"}`),
		Columns: []stream.Value{stream.MapOf(stream.Entry{Key: "k", Value: stream.DoubleOf(1)}), stream.TimestampOf(at), stream.BoolOf(true),
			stream.BytesOf([]byte{0, 255}), stream.DoubleOf(2.5), half, stream.IntOf(-42), stream.ListOf(stream.IntOf(1), stream.IntOf(2)), {},
			stream.DecimalOf(big.NewInt(-995), 2), stream.StringOf("søt 🌊"), stream.VectorOf([]float32{0.5, -2})}}
	gone := stream.RowWrite{RowID: stream.RowID{Table: every.Name, Document: "b"}, Version: stream.Version{Generation: 1, Offset: 1}, Delete: true}
	must(t, sink.Apply(t.Context(), stream.Batch{To: 2, Units: []stream.Unit{{Document: "a", Rows: []stream.RowWrite{row}}, {Document: "b", Rows: []stream.RowWrite{gone}}}}))

	records := s.read(t, "my-20table")
	if len(records) != 2 || string(records[0].Key) != `["a","k"]` || records[1].Value != nil {
		t.Fatalf("the topic holds %d records: %+v", len(records), records)
	}
	codec, err := goavro.NewCodec(headerOf(records[0], "freshet.schema"))
	must(t, err)
	got, rest, err := codec.NativeFromBinary(records[0].Value)
	must(t, err)
	want := map[string]any{
		"any": union("string", `{"k":1.0}`), "at": union("long", at.UnixNano()), "bool": union("boolean", true),
		"bytes": union("bytes", []byte{0, 255}), "double": union("double", 2.5), "half": union("bytes", []byte{0, 60, 0, 192}),
		"int": union("long", int64(-42)), "list_x20of": union("string", "[1,2]"), "null": nil, "price": union("string", "-9.95"),
		"string": union("string", "søt 🌊"), "vector": union("array", []any{float32(0.5), float32(-2)})}
	for name, value := range want {
		if held := got.(map[string]any)[name]; !reflect.DeepEqual(held, value) {
			t.Errorf("field %s is %v, want %v", name, held, value)
		}
	}
	if len(rest) > 0 || len(got.(map[string]any)) != len(want) {
		t.Errorf("the record has %v, and %d bytes after it", got, len(rest))
	}
	if v, l := headerOf(records[0], "freshet.version"), headerOf(records[0], "freshet.lineage"); v != "8796093022208" || l != `{"document":"a"}` {
		t.Errorf("version %s, lineage %s", v, l)
	}
	readsBack(t, sink, row)
}

func union(branch string, value any) map[string]any { return map[string]any{branch: value} }

func headerOf(r *kgo.Record, name string) (value string) {
	for _, h := range r.Headers {
		if h.Key == name {
			value = string(h.Value)
		}
	}
	return value
}

func readsBack(t *testing.T, sink stream.Sink, row stream.RowWrite) {
	t.Helper()
	rows := 0
	must(t, sink.(stream.Reader).ReadRows(t.Context(), row.Table, func(r stream.RowWrite) error {
		rows++
		for i, v := range row.Columns {
			if !r.Columns[i].Equal(v) {
				t.Errorf("column %s is read as %s, want %s", every.Columns[i].Name, r.Columns[i], v)
			}
		}
		return nil
	}))
	if rows != 1 {
		t.Errorf("%d rows are read, want 1", rows)
	}
}
