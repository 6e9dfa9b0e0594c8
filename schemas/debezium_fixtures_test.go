package schemas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/schemas/fixtures"
	"github.com/freshet-dev/freshet/stream"
)

const recorded = "testdata/debezium-postgres-json"

// folded is what the decoder's changes add up to, as the engine folds them.
type folded struct {
	rows  map[string]stream.Value
	other map[string]int
}

func record(f fixtures.Record) *stream.Record {
	return &stream.Record{Topic: f.Topic, Partition: f.Partition, Offset: f.Offset, Key: f.Key, Value: f.Value}
}

func fold(t *testing.T, d stream.Decoder, records []fixtures.Record) folded {
	t.Helper()
	out := folded{map[string]stream.Value{}, map[string]int{}}
	for _, f := range records {
		c, err := d.Decode(record(f))
		switch {
		case errors.Is(err, schemas.ErrUnkeyed):
			out.other["unkeyed"]++
		case err != nil:
			t.Fatalf("%s offset %d: %v", f.Topic, f.Offset, err)
		case c.Op == stream.Delete:
			delete(out.rows, c.Document)
		case c.Op == stream.Other:
			out.other[c.Other]++
		default:
			out.rows[c.Document] = merge(t, d, &c, out.rows[c.Document])
		}
	}
	return out
}

func merge(t *testing.T, d stream.Decoder, c *stream.Change, stored stream.Value) stream.Value {
	t.Helper()
	v, missing, err := d.Fields(c)
	if err != nil {
		t.Fatal(err)
	}
	entries := v.Entries()
	for _, name := range missing {
		entries = append(entries, stream.Entry{Key: name, Value: stored.Field(name)})
	}
	return stream.MapOf(entries...)
}

func topics(t *testing.T, variant string) map[string][]fixtures.Record {
	t.Helper()
	read, err := fixtures.Read(filepath.Join(recorded, variant))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]fixtures.Record{}
	for _, topic := range read {
		_, name, _ := strings.Cut(topic.Name, ".")
		out[name] = topic.Records
	}
	return out
}

// plain turns a value of JSON kinds into what encoding/json makes of the same JSON.
func plain(v stream.Value) any {
	switch v.Kind() {
	case stream.Bool:
		return v.Bool()
	case stream.Int:
		return json.Number(fmt.Sprint(v.Int()))
	case stream.Double:
		return v.Double()
	case stream.String:
		return v.Str()
	case stream.List:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plain(v.At(i))
		}
		return out
	case stream.Map:
		out := map[string]any{}
		for _, e := range v.Entries() {
			out[e.Key] = plain(e.Value)
		}
		return out
	}
	return nil
}

func parse(t *testing.T, row fixtures.Row) any {
	t.Helper()
	text, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var x any
	if err := dec.Decode(&x); err != nil {
		t.Fatal(err)
	}
	return fractions(x)
}

// fractions makes numbers written with a point or an exponent float64.
func fractions(x any) any {
	switch x := x.(type) {
	case json.Number:
		if strings.ContainsAny(x.String(), ".eE") {
			f, _ := x.Float64()
			return f
		}
	case []any:
		for i := range x {
			x[i] = fractions(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = fractions(x[k])
		}
	}
	return x
}

// documentID is the expected ID of a model's key.
func documentID(t *testing.T, key string) string {
	t.Helper()
	var columns map[string]any
	dec := json.NewDecoder(strings.NewReader(key))
	dec.UseNumber()
	if err := dec.Decode(&columns); err != nil {
		t.Fatal(err)
	}
	if len(columns) == 1 {
		for _, v := range columns {
			return fmt.Sprintf("row/%v", v)
		}
	}
	return fmt.Sprintf("row/line_no=%v,order_id=%v", columns["line_no"], columns["order_id"])
}

func untilTruncate(records []fixtures.Record) []fixtures.Record {
	for i, r := range records {
		if bytes.Contains(r.Value, []byte(`"op":"t"`)) {
			return records[:i]
		}
	}
	return records
}

// TestFixturesEqualModel: without schemas, the folded rows of every keyed table are the model's.
func TestFixturesEqualModel(t *testing.T) {
	for name, records := range topics(t, "schemas-false") {
		if !strings.HasPrefix(name, "public.") || name == "public.events_nopk" {
			continue
		}
		records = untilTruncate(records)
		model, err := fixtures.Model(records)
		if err != nil {
			t.Fatal(err)
		}
		got := fold(t, schemas.NewDebezium("row", nil, stream.Settings{}), records)
		if len(got.rows) != len(model.Rows) || len(model.Rows) == 0 {
			t.Errorf("%s: %d rows, the model has %d", name, len(got.rows), len(model.Rows))
		}
		for key, row := range model.Rows {
			if g, w := plain(got.rows[documentID(t, key)]), parse(t, row); !reflect.DeepEqual(g, w) {
				t.Errorf("%s %s:\n got %v\nwant %v", name, key, g, w)
			}
		}
	}
}

// TestFixturesOther: events that are no document's are recognised and counted, in both forms.
func TestFixturesOther(t *testing.T) {
	want := map[string]map[string]int{
		"json":               {"heartbeat": 5},
		"message":            {"message": 2},
		"transaction":        {"transaction": 108},
		"public.events_nopk": {"unkeyed": 5, "empty": 1, "truncate": 1},
		"public.order_lines": {"truncate": 1},
		"public.evolving":    {"truncate": 1},
		"public.customers":   {}, "public.documents": {}, "public.documents_full": {}, "public.dbz_signal": {},
	}
	want["jsonschema"] = want["json"]
	for _, variant := range []string{"schemas-false", "schemas-true"} {
		for name, records := range topics(t, variant) {
			got := fold(t, schemas.NewDebezium("row", nil, stream.Settings{}), records).other
			if !reflect.DeepEqual(got, want[name]) {
				t.Errorf("%s %s: %v, want %v", variant, name, got, want[name])
			}
		}
	}
}

func field(name string, t stream.Type) stream.Field { return stream.Field{Name: name, Type: t} }

func decimal(scale int) stream.Type {
	return stream.Type{Kind: stream.Decimal, Scale: scale, Nullable: true}
}

// customerFields reads every column; instants as Timestamp, or as sent where infinity may occur.
func customerFields(instant stream.Type) []stream.Field {
	text, number := stream.TypeString.OrNull(), stream.TypeInt.OrNull()
	return []stream.Field{
		field("id", stream.TypeInt), field("name", stream.TypeString), field("email", text), field("status", stream.TypeString),
		field("created_at", instant), field("updated_at", instant), field("ts3", stream.TypeTimestamp.OrNull()), field("birth", instant),
		field("wake", number), field("wake_tz", text), field("balance", decimal(2)), field("free_num", decimal(9)),
		field("doc", text), field("doc_json", text), field("uid", text), field("blob", stream.TypeBytes.OrNull()),
		field("tags", stream.ListType(text).OrNull()), field("nums", stream.ListType(number).OrNull()),
		field("amounts", stream.ListType(decimal(2)).OrNull()), field("uids", stream.ListType(text).OrNull()),
		field("moods", stream.ListType(text).OrNull()), field("ok", stream.TypeBool.OrNull()),
		field("f8", stream.TypeDouble.OrNull()), field("f4", stream.TypeDouble.OrNull()), field("i2", number), field("i4", number),
		field("span", number), field("addr", text), field("net", text), field("pt", stream.MapType().OrNull()), field("rng", text),
		field("xm", text), field("b", stream.TypeBytes.OrNull()), field("vb", stream.TypeBytes.OrNull()), field("ch", text),
		field("m", decimal(2)), field("tsv", text), field("oidcol", number),
	}
}

// TestFixturesCanonical: with the same fields, both forms give equal values.
func TestFixturesCanonical(t *testing.T) {
	fields := map[string][]stream.Field{
		"public.customers": customerFields(stream.TypeString.OrNull()),
		"public.order_lines": {field("order_id", stream.TypeInt), field("line_no", stream.TypeInt), field("sku", stream.TypeString.OrNull()),
			field("qty", stream.TypeInt), field("price", decimal(4))},
		"public.documents": nil, "public.documents_full": nil, "public.evolving": nil, "public.dbz_signal": nil,
	}
	bare, wrapped := topics(t, "schemas-false"), topics(t, "schemas-true")
	for name, declared := range fields {
		a := fold(t, schemas.NewDebezium("row", declared, stream.Settings{}), untilTruncate(bare[name])).rows
		b := fold(t, schemas.NewDebezium("row", declared, stream.Settings{}), untilTruncate(wrapped[name])).rows
		if name == "public.dbz_signal" { // each connector's snapshot made rows with IDs of its own
			continue
		}
		if len(a) == 0 || len(a) != len(b) {
			t.Errorf("%s: %d and %d rows", name, len(a), len(b))
		}
		for id := range a {
			if !a[id].Equal(b[id]) {
				t.Errorf("%s %s:\n bare    %v\n wrapped %v", name, id, a[id], b[id])
			}
		}
	}
}

// TestSchemaEqualsDeclared: the wrapper's logical types give what a suitable declaration gives.
func TestSchemaEqualsDeclared(t *testing.T) {
	instant := stream.TypeTimestamp.OrNull()
	bare := topics(t, "schemas-false")["public.customers"]
	wrapped := topics(t, "schemas-true")["public.customers"]
	for _, i := range []int{0, 1, 3, 4, 5} { // without dates beyond a timestamp's range
		a := fold(t, schemas.NewDebezium("row", customerFields(instant), stream.Settings{}), bare[i:i+1]).rows
		b := fold(t, schemas.NewDebezium("row", nil, stream.Settings{}), wrapped[i:i+1]).rows
		for id := range a {
			if !a[id].Equal(b[id]) {
				t.Errorf("record %d:\n bare    %v\n wrapped %v", i, a[id], b[id])
			}
		}
	}
}
