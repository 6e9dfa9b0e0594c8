package schemas_test

import (
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// read decodes {"x": text} with x declared as typ; "" declares nothing.
func read(t *testing.T, fields []stream.Field, text string, s stream.Settings) (stream.Value, error) {
	t.Helper()
	d := schemas.NewDebezium("s", fields, s)
	c := change(t, d, `{"id":1}`, `{"op":"c","after":{"x":`+text+`}}`)
	v, _, err := d.Fields(&c)
	return v.Field("x"), err
}

func TestNatural(t *testing.T) {
	tests := []struct{ text, want string }{
		{`1`, `1`}, {`-0`, `0`}, {`1.0`, `1`}, {`9223372036854775807`, `9223372036854775807`}, {`9223372036854775808`, `9223372036854775808`},
		{`1e3`, `1000`}, {`"a\u00e9\n"`, `"aé\n"`}, {`true`, `true`}, {`null`, `null`}, {`[]`, `[]`}, {`{}`, `{}`},
		{`[1,"x",null,[2.5]]`, `[1, "x", null, [2.5]]`}, {`{"b":1,"a":{"c":[]}}`, `{"a": {"c": []}, "b": 1}`},
	}
	for _, tt := range tests {
		if v, err := read(t, nil, tt.text, stream.Settings{}); err != nil || v.String() != tt.want {
			t.Errorf("%s: %v %v, want %s", tt.text, v, err, tt.want)
		}
	}
	if v, _ := read(t, nil, `9223372036854775808`, stream.Settings{}); v.Kind() != stream.Decimal {
		t.Error("an integer beyond 64 bits is no decimal")
	}
	if v, _ := read(t, nil, `1.0`, stream.Settings{}); v.Kind() != stream.Double {
		t.Error("a number with a point is no double")
	}
}

func TestDeclared(t *testing.T) {
	tests := []struct {
		typ        stream.Type
		text, want string
	}{
		{stream.TypeInt, `"12"`, `12`}, {stream.TypeInt, `12.0`, `12`}, {stream.TypeInt, `-9223372036854775808`, `-9223372036854775808`},
		{stream.TypeDouble, `3`, `3`}, {stream.TypeDouble, `"NaN"`, `NaN`}, {stream.TypeDouble, `"-Infinity"`, `-Inf`}, {stream.TypeDouble, `"2.5"`, `2.5`},
		{stream.TypeBool, `1`, `true`}, {stream.TypeBool, `"false"`, `false`},
		{stream.TypeString, `12.50`, `"12.50"`}, {stream.TypeString, `{"a": 1}`, `"{\"a\": 1}"`},
		{stream.TypeBytes, `"3q2+7wA="`, `0xdeadbeef00`}, {stream.TypeBytes, `""`, `0x`},
		{decimal(2), `"AeJA"`, `1234.56`}, {decimal(2), `"12.5"`, `12.50`}, {decimal(2), `12.5`, `12.50`}, {decimal(2), `"/w=="`, `-0.01`},
		{decimal(2), `1.25e1`, `12.50`}, {decimal(0), `"-7"`, `-7`}, {decimal(2), `{"scale":1,"value":"ew=="}`, `12.30`}, {decimal(2), `null`, `null`},
		{stream.TypeTimestamp, `"2024-01-02T01:04:05.678901Z"`, `2024-01-02T01:04:05.678901Z`},
		{stream.TypeTimestamp, `"2024-01-02T03:04:05+02:00"`, `2024-01-02T01:04:05Z`}, {stream.TypeTimestamp, `"2024-01-02"`, `2024-01-02T00:00:00Z`},
		{stream.TypeTimestamp, `1704164645678`, `2024-01-02T03:04:05.678Z`}, {stream.TypeTimestamp, `1704164645678901`, `2024-01-02T03:04:05.678901Z`},
		{stream.TypeTimestamp, `1704164645678901234`, `2024-01-02T03:04:05.678901234Z`}, {stream.TypeTimestamp, `-56270`, `1815-12-10T00:00:00Z`},
		{stream.ListType(stream.TypeInt), `[1,"2"]`, `[1, 2]`}, {stream.MapType(), `"{\"a\":1}"`, `{"a": 1}`}, {stream.TypeDynamic, `[1]`, `[1]`},
	}
	for _, tt := range tests {
		v, err := read(t, []stream.Field{field("x", tt.typ)}, tt.text, stream.Settings{})
		if err != nil || v.String() != tt.want {
			t.Errorf("%s as %s: %v %v, want %s", tt.text, tt.typ, v, err, tt.want)
		}
		if k := v.Kind(); err == nil && k != tt.typ.Kind && k != stream.Null && tt.typ.Kind != stream.Dynamic {
			t.Errorf("%s as %s is a %s", tt.text, tt.typ, k)
		}
	}
}

func TestDeclaredErrors(t *testing.T) {
	tests := []struct {
		typ           stream.Type
		text, message string
	}{
		{stream.TypeInt, `"secret"`, "column x: a text of 6 bytes can't be read as int"},
		{stream.TypeInt, `1.5`, "a number can't be read as int"},
		{stream.TypeInt, `null`, "declare it 'int?'"},
		{stream.TypeBool, `2`, "can't be read as bool"},
		{stream.TypeBytes, `"%"`, "no base64"},
		{stream.TypeDouble, `"0x10"`, "not a number"},
		{decimal(2), `"12.345"`, "more than 2 digits"},
		{decimal(2), `"1234"`, "set `decimals: string`"},
		{decimal(2), `true`, "a bool can't be read as decimal(2)"},
		{stream.TypeTimestamp, `"infinity"`, "declare the column string"},
		{stream.TypeTimestamp, `"9999-12-31T23:59:59Z"`, "declare the column string"},
		{stream.TypeTimestamp, `9223372036854775807`, "declare the column string"},
		{stream.ListType(stream.TypeInt), `{}`, "a list is an array"},
		{stream.ListType(stream.TypeInt), `[null]`, "null"},
		{stream.MapType(), `"x"`, "a map is an object"},
		{stream.TypeDynamic, strings.Repeat("[", 300) + strings.Repeat("]", 300), "nested deeper"},
		{stream.TypeDynamic, `1e999`, "range of a double"},
		{stream.TypeDynamic, `{x}`, "malformed"},
	}
	for _, tt := range tests {
		_, err := read(t, []stream.Field{field("x", tt.typ)}, tt.text, stream.Settings{})
		if err == nil || stream.KindOf(err) != stream.Invalid || !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%.20s as %s: %v", tt.text, tt.typ, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows the value: %v", err)
		}
	}
}

func TestDecimalsSetting(t *testing.T) {
	fields := []stream.Field{field("x", decimal(0))}
	for mode, want := range map[string]string{"string": "1234", "precise": "-2658824"} {
		v, err := read(t, fields, `"1234"`, settings(stream.Entry{Key: "decimals", Value: stream.StringOf(mode)}))
		if err != nil || v.String() != want {
			t.Errorf("%s: %v %v", mode, v, err)
		}
	}
}

func TestDeclaredDropsAndFills(t *testing.T) {
	d := schemas.NewDebezium("s", []stream.Field{field("a", stream.TypeInt), field("b", stream.TypeInt.OrNull())}, stream.Settings{})
	c := change(t, d, `{"id":1}`, `{"op":"c","after":{"a":1,"z":2}}`)
	if v, _, err := d.Fields(&c); err != nil || v.String() != `{"a": 1, "b": null}` {
		t.Error(v, err)
	}
	c = change(t, d, `{"id":1}`, `{"op":"c","after":{"z":2}}`)
	if _, _, err := d.Fields(&c); stream.KindOf(err) != stream.Invalid || !strings.Contains(err.Error(), "column a") {
		t.Error(err)
	}
	c = change(t, d, `{"id":1}`, `{"op":"u","after":{"a":"__debezium_unavailable_value","b":3}}`)
	if v, missing, err := d.Fields(&c); err != nil || v.String() != `{"b": 3}` || len(missing) != 1 {
		t.Error(v, missing, err)
	}
}

// TestLogicalBeyondTimestamp: what a Timestamp can't hold stays what the source sent.
func TestLogicalBeyondTimestamp(t *testing.T) {
	d := schemas.NewDebezium("s", nil, stream.Settings{})
	for logical, text := range map[string]string{
		"io.debezium.time.ZonedTimestamp": `"infinity"`, "io.debezium.time.MicroTimestamp": `9223372036854775807`,
		"io.debezium.time.Date": `-719162`, "io.debezium.time.Timestamp": `-62135596800000`,
	} {
		c := change(t, d, `{"id":1}`, `{"schema":{"fields":[{"field":"after","fields":[{"field":"x","name":"`+logical+
			`"}]}]},"payload":{"op":"c","after":{"x":`+text+`}}}`)
		if v, _, err := d.Fields(&c); err != nil || v.Field("x").String() != text {
			t.Errorf("%s: %v %v", logical, v, err)
		}
	}
}
