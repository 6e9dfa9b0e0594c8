package sinktest

import (
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

var valueCases = []Case{
	{"every kind of value comes back as it was written", everyKind},
	{"null in every column", func(t *testing.T, h Harness) {
		w := start(t, h, kinds)
		w.apply(unit(put("kinds", "a", "", make([]stream.Value, len(kinds.Columns))...)))
		w.want("kinds", put("kinds", "a", "", make([]stream.Value, len(kinds.Columns))...))
	}},
	{"hostile names", hostileNames},
	{"hostile documents and keys", hostileKeys},
	{"text that the target can't hold is refused", func(t *testing.T, h Harness) {
		if !h.Is.NoNUL {
			t.Skip("this kind of target holds every text")
		}
		w := start(t, h, pages)
		for _, row := range []stream.RowWrite{page("a", "nul\x00"), page("nul\x00", "A"), put("pages", "a", "nul\x00", stream.StringOf("A"))} {
			if err := w.sink.Apply(t.Context(), w.batch(0, unit(row))); err == nil {
				t.Fatalf("row %q with U+0000 was taken", row.RowID)
			}
		}
		w.want("pages")
		w.apply(unit(page("a", "A")))
	}},
	{"a table without columns", func(t *testing.T, h Harness) {
		w := start(t, h, stream.Table{Name: "bare"})
		w.apply(unit(put("bare", "a", "1")))
		w.apply(unit(put("bare", "a", "1"), put("bare", "b", "1")))
		w.want("bare", at(1, put("bare", "a", "1")), at(2, put("bare", "b", "1")))
	}},
}

// kinds has a column of each kind that every target holds.
var kinds = stream.Table{Name: "kinds", Columns: []stream.Field{
	{Name: "any", Type: stream.TypeDynamic},
	{Name: "bool", Type: stream.TypeBool.OrNull()},
	{Name: "bytes", Type: stream.TypeBytes.OrNull()},
	{Name: "decimal", Type: stream.Type{Kind: stream.Decimal, Scale: 4, Nullable: true}},
	{Name: "double", Type: stream.TypeDouble.OrNull()},
	{Name: "int", Type: stream.TypeInt.OrNull()},
	{Name: "list", Type: stream.ListType(stream.TypeString).OrNull()},
	{Name: "map", Type: stream.MapType().OrNull()},
	{Name: "record", Type: stream.MapType(
		stream.Field{Name: "at", Type: stream.TypeTimestamp},
		stream.Field{Name: "price", Type: stream.Type{Kind: stream.Decimal, Scale: 2}},
		stream.Field{Name: "raw", Type: stream.TypeBytes}).OrNull()},
	{Name: "string", Type: stream.TypeString.OrNull()},
	{Name: "timestamp", Type: stream.TypeTimestamp.OrNull()},
	{Name: "vector", Type: stream.VectorType(stream.F32, 3).OrNull()},
}}

func everyKind(t *testing.T, h Harness) {
	w := start(t, h, kinds)
	rows := []stream.RowWrite{
		put("kinds", "a", "", ordinary()...),
		put("kinds", "b", "", extreme()...),
		put("kinds", "c", "", empty()...),
	}
	for _, r := range rows {
		w.apply(unit(r))
	}
	w.want("kinds", rows...)
}

func ordinary() []stream.Value {
	return []stream.Value{
		stream.MapOf(stream.Entry{Key: "k", Value: stream.ListOf(stream.IntOf(1), stream.DoubleOf(1), stream.DoubleOf(0.1),
			stream.StringOf("x"), stream.BoolOf(true), stream.Value{})}),
		stream.BoolOf(true), stream.BytesOf([]byte("raw")), stream.DecimalOf(big.NewInt(125_000), 4), stream.DoubleOf(2.5),
		stream.IntOf(-42), stream.ListOf(stream.StringOf("a"), stream.StringOf("b")),
		stream.MapOf(stream.Entry{Key: "z", Value: stream.IntOf(1)}, stream.Entry{Key: "a", Value: stream.Value{}}),
		record(time.Date(2026, 10, 1, 12, 30, 0, 0, time.UTC), 995, []byte{0, 255}),
		stream.StringOf("søt 🌊"), stream.TimestampOf(time.Date(2026, 10, 1, 12, 30, 0, 123_456_789, time.UTC)),
		stream.VectorOf([]float32{0.1, -2, 3e30}),
	}
}

func extreme() []stream.Value {
	huge, _ := new(big.Int).SetString("-123456789012345678901234567890123456", 10)
	return []stream.Value{
		stream.IntOf(math.MinInt64), stream.BoolOf(false), stream.BytesOf([]byte{0, 1, 0xff, 0}), stream.DecimalOf(huge, 4),
		stream.DoubleOf(math.Inf(-1)), stream.IntOf(math.MaxInt64), stream.ListOf(stream.StringOf(`"\/` + "\n\u2028")),
		stream.MapOf(stream.Entry{Key: `quo"te`, Value: stream.DoubleOf(1e300)}, stream.Entry{Key: "", Value: stream.StringOf("")}),
		record(time.Date(1700, 1, 1, 0, 0, 0, 1, time.UTC), -1, nil),
		stream.StringOf(`'; drop table "kinds"; --` + "\t\r\n\\ \u202e\ufeff"),
		stream.TimestampOf(time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)),
		stream.VectorOf([]float32{math.SmallestNonzeroFloat32, math.MaxFloat32, 0}),
	}
}

func empty() []stream.Value {
	return []stream.Value{
		stream.StringOf("a string"), stream.BoolOf(false), stream.BytesOf(nil), stream.DecimalOf(big.NewInt(0), 4),
		stream.DoubleOf(math.NaN()), stream.IntOf(0), stream.ListOf(), stream.MapOf(),
		record(time.Unix(0, 0), 0, nil), stream.StringOf(""), stream.TimestampOf(time.Unix(0, 0)), stream.VectorOf([]float32{0, 0, 0}),
	}
}

func record(at time.Time, cents int64, raw []byte) stream.Value {
	return stream.MapOf(stream.Entry{Key: "at", Value: stream.TimestampOf(at)},
		stream.Entry{Key: "price", Value: stream.DecimalOf(big.NewInt(cents), 2)},
		stream.Entry{Key: "raw", Value: stream.BytesOf(raw)})
}

// hostileNames uses what people and generators call tables and columns, and what would break unquoted SQL.
func hostileNames(t *testing.T, h Harness) {
	names := []string{"select", "my table", `quo"te`, "apo'strophe", "semi;colon--", "søt🌊", "a.b", "100%", "$1", "?", "_x", "back\\slash", "`tick`", "[x]"}
	long := strings.Repeat("n", 200)
	if h.Is.MaxName > 0 {
		long = long[:h.Is.MaxName]
	}
	var columns []stream.Field
	for _, n := range append(names, "order", "rowid", "document", "key", "version", long) {
		columns = append(columns, stream.Field{Name: n, Type: stream.TypeString.OrNull()})
	}
	var tables []stream.Table
	for _, n := range names {
		tables = append(tables, stream.Table{Name: n, Columns: columns})
	}
	w := start(t, h, tables...)
	values := make([]stream.Value, len(columns))
	for i, c := range columns {
		values[i] = stream.StringOf("in " + c.Name)
	}
	var rows []stream.RowWrite
	for _, n := range names {
		rows = append(rows, put(n, "a", "1", values...), put(n, "a", "2", values...), del(n, "a", "3"))
	}
	w.apply(unit(rows...))
	w.apply(unit(rows...))
	for _, n := range names {
		w.want(n, put(n, "a", "1", values...), put(n, "a", "2", values...))
	}
	noError(t, w.sink.StartRebuild(t.Context(), 0, 1), "start rebuild")
	w.stage(0, unit(put(names[2], "a", "1", values...)))
	noError(t, w.sink.Switch(t.Context(), 0, 1), "switch")
}

func hostileKeys(t *testing.T, h Harness) {
	w := start(t, h, pages)
	texts := []string{"", " ", "  ", "'", `"`, "%", "A", "B", "a", "a ", "a/b", `\`, "\n", "select", "é", "e\u0301", "🌊", strings.Repeat("k", 2000)}
	if !h.Is.NoNUL {
		texts = append(texts, "nul\x00", "nul\x00more")
	}
	var all []stream.RowWrite
	for _, d := range texts {
		for _, k := range texts {
			all = append(all, put("pages", d, k, stream.StringOf(d+k)))
		}
	}
	for _, r := range all {
		w.applyTo(0, unit(r))
	}
	got := w.read("pages")
	if len(got) != len(all) {
		t.Fatalf("%d rows, want %d", len(got), len(all))
	}
	for i, r := range got {
		if i > 0 && !inOrder(got[i-1].RowID, r.RowID) {
			t.Fatalf("row %q after %q", short(r.RowID), short(got[i-1].RowID))
		}
		if !r.Columns[0].Equal(stream.StringOf(r.Document + r.Key)) {
			t.Fatalf("row %q holds %s", short(r.RowID), r.Columns[0])
		}
	}
}

// inOrder says whether a comes before b by the bytes of document and key.
func inOrder(a, b stream.RowID) bool {
	return a.Document < b.Document || a.Document == b.Document && a.Key < b.Key
}
