package schemas_test

import (
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

func ok[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// everyKind has a column of each kind; goldens are made from it, so it never changes.
func everyKind() (stream.Table, stream.Row, schemas.Lineage) {
	columns := []struct {
		name  string
		value stream.Value
	}{
		{"a_null", stream.Value{}}, {"b_bool", stream.BoolOf(true)}, {"c_int", stream.IntOf(math.MinInt64)},
		{"d_double", stream.DoubleOf(-0.5)}, {"e_string", stream.StringOf("é\n")}, {"f_bytes", stream.BytesOf([]byte{0, 255})},
		{"g_decimal", stream.DecimalOf(big.NewInt(-123450), 4)},
		{"h_timestamp", stream.TimestampOf(time.Date(1969, 12, 31, 23, 59, 59, 999999999, time.UTC))},
		{"i_list", stream.ListOf(stream.IntOf(1), stream.Value{}, stream.ListOf([]stream.Value{}...))},
		{"j_map", stream.MapOf(stream.Entry{Key: "k", Value: stream.StringOf("v")}, stream.Entry{Key: "m", Value: stream.MapOf()})},
		{"k_vector", stream.VectorOf([]float32{1, -2.5})}, {"l_half", ok(stream.RawVectorOf(stream.F16, []byte{0, 60, 0, 64}))},
		{"m_bytes", ok(stream.RawVectorOf(stream.I8, []byte{1, 255, 3}))},
		{"n_sparse", ok(stream.SparseOf([]uint32{3, 70000}, []float32{.5, 2}))},
		{"o_multi", ok(stream.MultiVectorOf(2, []float32{1, 2, 3, 4}))},
	}
	table, row := stream.Table{Name: "chunks"}, stream.Row{Table: "chunks", Key: "k,1"}
	for _, c := range columns {
		table.Columns = append(table.Columns, stream.Field{Name: c.name})
		row.Columns = append(row.Columns, c.value)
	}
	p := stream.Position{Topic: "shop.public.docs", Partition: 3, Offset: 42, Source: "31564720", Time: 1795342363624347000}
	nodes := []stream.NodeLineage{{Node: "body", Operator: "parse.markdown", Version: 1}, {Node: "vector", Operator: "embed", Version: 2, Model: "small"}}
	return table, row, schemas.LineageOf("page/a.md", p, "r1", nodes)
}

func TestRowRoundTrip(t *testing.T) {
	table, row, lineage := everyKind()
	r := ok(schemas.EncodeRow(table, row, "page/a.md", jsonOf(lineage), 2, 3))
	w, i, n, err := schemas.DecodeRow(&r, map[string]stream.Table{"chunks": table})
	if err != nil || i != 2 || n != 3 || w.Delete || w.RowID != (stream.RowID{Table: "chunks", Document: "page/a.md", Key: "k,1"}) {
		t.Fatalf("%+v %d/%d %v", w, i, n, err)
	}
	for c := range row.Columns {
		if !w.Columns[c].Equal(row.Columns[c]) {
			t.Errorf("%s: %v, want %v", table.Columns[c].Name, w.Columns[c], row.Columns[c])
		}
	}
	if text := string(ok(lineage.JSON())); string(w.Lineage) != text {
		t.Errorf("lineage %s", w.Lineage)
	}
}

// TestRowsAreAvro: an Avro library reads what we write, and writes what we read.
func TestRowsAreAvro(t *testing.T) {
	codec := ok(goavro.NewCodec(schemas.RowSchema()))
	table, row, lineage := everyKind()
	r := ok(schemas.EncodeRow(table, row, "page/a.md", jsonOf(lineage), 1, 1))
	native, rest, err := codec.NativeFromBinary(r.Value)
	if err != nil || len(rest) > 0 {
		t.Fatal(err, len(rest))
	}
	m := native.(map[string]any)
	columns := m["columns"].(map[string]any)
	column := func(name string) any { return columns[name].(map[string]any)["value"] }
	want := map[string]any{
		"a_null": nil, "b_bool": map[string]any{"boolean": true}, "e_string": map[string]any{"string": "é\n"},
		"h_timestamp": map[string]any{"dev.freshet.Timestamp": map[string]any{"nanos": int64(-1)}},
		"k_vector": map[string]any{"dev.freshet.Vector": map[string]any{"element": "f32", "dims": int32(2),
			"data": []byte{0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0}}},
		"g_decimal": map[string]any{"dev.freshet.Decimal": map[string]any{"unscaled": []byte{0xfe, 0x1d, 0xc6}, "scale": int32(4)}},
	}
	for name, v := range want {
		if !reflect.DeepEqual(column(name), v) {
			t.Errorf("%s: %#v, want %#v", name, column(name), v)
		}
	}
	again := r
	again.Value = ok(codec.BinaryFromNative(nil, native))
	w, _, _, err := schemas.DecodeRow(&again, map[string]stream.Table{"chunks": table})
	if err != nil || !stream.ListOf(w.Columns...).Equal(stream.ListOf(row.Columns...)) {
		t.Error(w, err)
	}
}

func TestDelete(t *testing.T) {
	id := stream.RowID{Table: "chunks", Document: "page/a.md", Key: "x"}
	r := schemas.EncodeDelete(id, 1, 2)
	w, i, n, err := schemas.DecodeRow(&r, map[string]stream.Table{"chunks": {Name: "chunks"}})
	if err != nil || !w.Delete || w.RowID != id || i != 1 || n != 2 || w.Columns != nil || r.Value != nil {
		t.Errorf("%+v %v", w, err)
	}
}

// TestColumnsChange: rows of an older declaration are read by the present one: by name, absent columns null.
func TestColumnsChange(t *testing.T) {
	old := stream.Table{Name: "t", Columns: []stream.Field{{Name: "a"}, {Name: "b"}, {Name: "c"}}}
	row := stream.Row{Table: "t", Columns: []stream.Value{stream.IntOf(1), stream.IntOf(2), stream.IntOf(3)}}
	r := ok(schemas.EncodeRow(old, row, "d", jsonOf(schemas.Lineage{}), 1, 1))
	now := stream.Table{Name: "t", Columns: []stream.Field{{Name: "c"}, {Name: "d"}, {Name: "a"}}}
	w, _, _, err := schemas.DecodeRow(&r, map[string]stream.Table{"t": now})
	if err != nil || stream.ListOf(w.Columns...).String() != "[3, null, 1]" {
		t.Error(w.Columns, err)
	}
}

// TestDecodeColumns: a row is read without a declaration, with its columns as they were declared.
func TestDecodeColumns(t *testing.T) {
	table, row, lineage := everyKind()
	r := ok(schemas.EncodeRow(table, row, "page/a.md", jsonOf(lineage), 1, 1))
	w, names, err := schemas.DecodeColumns(&r)
	if err != nil || w.RowID != (stream.RowID{Table: "chunks", Document: "page/a.md", Key: "k,1"}) || len(names) != len(table.Columns) {
		t.Fatalf("%+v %v %v", w, names, err)
	}
	for c, name := range names {
		if name != table.Columns[c].Name || !w.Columns[c].Equal(row.Columns[c]) {
			t.Errorf("column %s: %v", name, w.Columns[c])
		}
	}
	if (stream.Row{Table: w.Table, Key: w.Key, Columns: w.Columns}).Fingerprint() != row.Fingerprint() || string(w.Lineage) != string(jsonOf(lineage)) {
		t.Error("what was read has another fingerprint or lineage")
	}
	gone := schemas.EncodeDelete(w.RowID, 1, 1)
	if d, _, err := schemas.DecodeColumns(&gone); err != nil || !d.Delete || d.RowID != w.RowID {
		t.Errorf("%+v %v", d, err)
	}
	cut, long, other := r, r, r
	cut.Value, long.Value = r.Value[:len(r.Value)-1], append(slices.Clone(r.Value), 0)
	other.Key = schemas.RowKey(stream.RowID{Table: "chunks", Document: "page/b.md"})
	for _, r := range []stream.Record{cut, long, other, schemas.EncodeMark(schemas.MarkGenerationPass, 3), {}} {
		if _, _, err := schemas.DecodeColumns(&r); err == nil || stream.KindOf(err) != stream.Invalid {
			t.Errorf("%v", err)
		}
	}
}

func TestRowErrors(t *testing.T) {
	table, row, lineage := everyKind()
	tables := map[string]stream.Table{"chunks": table}
	good := ok(schemas.EncodeRow(table, row, "page/a.md", jsonOf(lineage), 1, 1))
	cut, other, mark := good, good, schemas.EncodeMark(schemas.MarkGenerationPass, 3)
	cut.Value = good.Value[:len(good.Value)-1]
	other.Headers = schemas.EncodeDelete(stream.RowID{Table: "chunks", Document: "page/b.md"}, 1, 1).Headers
	for _, r := range []stream.Record{cut, other, mark, {}, schemas.EncodeDelete(stream.RowID{Table: "elsewhere"}, 1, 1)} {
		if _, _, _, err := schemas.DecodeRow(&r, tables); err == nil || stream.KindOf(err) != stream.Invalid {
			t.Errorf("%v", err)
		}
	}
	row.Columns = row.Columns[1:]
	if _, err := schemas.EncodeRow(table, row, "page/a.md", jsonOf(lineage), 1, 1); err == nil || stream.KindOf(err) != stream.Internal {
		t.Error(err)
	}
}

func TestMark(t *testing.T) {
	r := schemas.EncodeMark(schemas.MarkGenerationPass, 7)
	if name, g, ok := schemas.DecodeMark(&r); !ok || name != schemas.MarkGenerationPass || g != 7 {
		t.Error(name, g, ok)
	}
	if _, _, _, _, ok := schemas.RowHeader(&r); ok {
		t.Error("a mark was taken for a row")
	}
	row := schemas.EncodeDelete(stream.RowID{Table: "t"}, 1, 1)
	if _, _, ok := schemas.DecodeMark(&row); ok {
		t.Error("a row was taken for a mark")
	}
}

// TestRowKeyLaw: keys are equal only for equal rows, and can be read again.
func TestRowKeyLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := stream.RowID{Table: rapid.String().Draw(t, "table"), Document: rapid.String().Draw(t, "document"), Key: rapid.String().Draw(t, "key")}
		if got, err := schemas.ParseRowKey(schemas.RowKey(id)); err != nil || got != id {
			t.Fatalf("%+v is read as %+v, %v", id, got, err)
		}
	})
}

// TestRowLaw: every value is read back as it was written, by us and by an Avro library.
func TestRowLaw(t *testing.T) {
	codec := ok(goavro.NewCodec(schemas.RowSchema()))
	table := stream.Table{Name: "t", Columns: []stream.Field{{Name: "x"}}}
	rapid.Check(t, func(t *rapid.T) {
		v := value(2).Draw(t, "value")
		row := stream.Row{Table: "t", Key: "k", Columns: []stream.Value{v}}
		r := ok(schemas.EncodeRow(table, row, "d", jsonOf(schemas.Lineage{}), 1, 1))
		w, _, _, err := schemas.DecodeRow(&r, map[string]stream.Table{"t": table})
		if err != nil || !w.Columns[0].Equal(v) {
			t.Fatalf("%v is read as %v, %v", v, w.Columns, err)
		}
		if _, rest, err := codec.NativeFromBinary(r.Value); err != nil || len(rest) > 0 {
			t.Fatalf("%v: %v", v, err)
		}
	})
}

func value(depth int) *rapid.Generator[stream.Value] {
	g := []*rapid.Generator[stream.Value]{
		rapid.Just(stream.Value{}), rapid.Map(rapid.Bool(), stream.BoolOf), rapid.Map(rapid.Int64(), stream.IntOf),
		rapid.Map(rapid.Float64(), stream.DoubleOf), rapid.Map(rapid.String(), stream.StringOf), rapid.Map(rapid.SliceOf(rapid.Byte()), stream.BytesOf),
		rapid.Map(rapid.Int64(), func(n int64) stream.Value { return stream.TimestampOf(time.Unix(0, n)) }),
		rapid.Map(rapid.SliceOf(rapid.Float32()), stream.VectorOf),
		rapid.Custom(func(t *rapid.T) stream.Value {
			u := new(big.Int).SetBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "unscaled"))
			if rapid.Bool().Draw(t, "negative") {
				u.Neg(u)
			}
			return stream.DecimalOf(u, rapid.IntRange(-100, 100).Draw(t, "scale"))
		}),
	}
	if depth > 0 {
		g = append(g,
			rapid.Map(rapid.SliceOfN(value(depth-1), 0, 4), func(v []stream.Value) stream.Value { return stream.ListOf(v...) }),
			rapid.Map(rapid.MapOfN(rapid.String(), value(depth-1), 0, 4), mapOf))
	}
	return rapid.OneOf(g...)
}

func mapOf(m map[string]stream.Value) stream.Value {
	var entries []stream.Entry
	for k, v := range m {
		entries = append(entries, stream.Entry{Key: k, Value: v})
	}
	return stream.MapOf(entries...)
}

// FuzzRow: no input panics.
func FuzzRow(f *testing.F) {
	table, row, lineage := everyKind()
	good := ok(schemas.EncodeRow(table, row, "d", jsonOf(lineage), 1, 1))
	f.Add(good.Key, good.Value)
	tables := map[string]stream.Table{"chunks": table}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r := good
		r.Key, r.Value = key, value
		if _, _, _, err := schemas.DecodeRow(&r, tables); err != nil && stream.KindOf(err) != stream.Invalid {
			t.Fatal(err)
		}
		_, _ = schemas.ParseRowKey(key)
	})
}

func benchmarkRow() (stream.Table, stream.Row, schemas.Lineage) {
	_, _, lineage := everyKind()
	table := stream.Table{Name: "chunks", Columns: []stream.Field{{Name: "embedding"}, {Name: "n"}, {Name: "path"}, {Name: "text"}, {Name: "title"}}}
	return table, stream.Row{Table: "chunks", Key: "k", Columns: []stream.Value{stream.VectorOf(make([]float32, 768)), stream.IntOf(1),
		stream.StringOf("docs/a.md"), stream.StringOf(string(make([]byte, 800))), stream.StringOf("title")}}, lineage
}

func BenchmarkEncodeRow(b *testing.B) {
	table, row, lineage := benchmarkRow()
	b.ReportAllocs()
	for b.Loop() {
		_ = ok(schemas.EncodeRow(table, row, "page/docs/a.md", jsonOf(lineage), 1, 1))
	}
}

func BenchmarkDecodeRow(b *testing.B) {
	table, row, lineage := benchmarkRow()
	r := ok(schemas.EncodeRow(table, row, "page/docs/a.md", jsonOf(lineage), 1, 1))
	tables := map[string]stream.Table{"chunks": table}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := schemas.DecodeRow(&r, tables); err != nil {
			b.Fatal(err)
		}
	}
}

func jsonOf(l schemas.Lineage) []byte {
	text, err := l.JSON()
	if err != nil {
		panic(err)
	}
	return text
}

// TestLineageIsJSON: the lineage is written as encoding/json writes it.
func TestLineageIsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "plain", "a<b>&c", "quote\" \\ \u2028", "\xff"}))
		nodes := rapid.SampledFrom([][]stream.NodeLineage{nil, {}, {{Node: "n", Operator: "embed", Version: 2, Model: "<m>"}, {Node: "o"}}})
		l := schemas.Lineage{Document: text.Draw(t, "document"), Topic: text.Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"),
			Offset: rapid.Int64().Draw(t, "offset"), Position: text.Draw(t, "position"), Time: text.Draw(t, "time"),
			Revision: text.Draw(t, "revision"), Nodes: nodes.Draw(t, "nodes")}
		want, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.JSON(); err != nil || string(got) != string(want) {
			t.Fatalf("%s, %v; want %s", got, err, want)
		}
	})
}
