package schemas_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

func settings(entries ...stream.Entry) stream.Settings {
	return stream.Settings{Values: stream.MapOf(entries...)}
}

func change(t *testing.T, d stream.Decoder, key, value string) stream.Change {
	t.Helper()
	c, err := d.Decode(&stream.Record{Topic: "t", Key: bytesOrNil(key), Value: bytesOrNil(value)})
	if err != nil {
		t.Fatalf("%s %s: %v", key, value, err)
	}
	return c
}

func bytesOrNil(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func TestDocumentID(t *testing.T) {
	tests := []struct{ key, want string }{
		{`{"id":1}`, "s/1"},
		{`{ "id" : "a,b=c" }`, "s/a,b=c"},
		{`{"id":"tab\tquote\" \u00e9"}`, "s/tab\tquote\" é"},
		{`{"b":2,"a":1}`, "s/a=1,b=2"},
		{`{"b":"x,y","a":"p=q\\"}`, `s/a=p\=q\\,b=x\,y`},
		{`{"a":null,"b":"\\N"}`, `s/a=\N,b=\\N`},
		{`{"schema":{"type":"struct"},"payload":{"id":7}}`, "s/7"},
		{`{"schema":{"type":"string"},"payload":"k"}`, "s/k"},
		{`{"schema":"x","payload":"y"}`, "s/payload=y,schema=x"},
		{`"text"`, "s/text"},
		{`42`, "s/42"},
		{`free text`, "s/free text"},
		{`{"id":true}`, "s/true"},
		{`{"id":{"$oid":"5f"}}`, `s/{"$oid":"5f"}`},
	}
	d := schemas.NewDebezium("s", nil, stream.Settings{})
	for _, tt := range tests {
		if c := change(t, d, tt.key, ""); c.Document != tt.want || c.Op != stream.Delete {
			t.Errorf("%s: %q %v, want %q", tt.key, c.Document, c.Op, tt.want)
		}
	}
}

func TestOperations(t *testing.T) {
	tests := []struct {
		name, key, value string
		op               stream.Op
		other            string
	}{
		{"create", `{"id":1}`, `{"op":"c","after":{"id":1}}`, stream.Upsert, ""},
		{"update", `{"id":1}`, `{"before":{"id":1},"op":"u","after":{"id":1}}`, stream.Upsert, ""},
		{"read", `{"id":1}`, `{"op":"r","after":{"id":1}}`, stream.Upsert, ""},
		{"delete", `{"id":1}`, `{"op":"d","before":{"id":1},"after":null}`, stream.Delete, ""},
		{"tombstone", `{"id":1}`, "", stream.Delete, ""},
		{"tombstone as JSON", `{"id":1}`, "null", stream.Delete, ""},
		{"wrapped tombstone", `{"id":1}`, `{"schema":null,"payload":null}`, stream.Delete, ""},
		{"nothing", "", "", stream.Other, "empty"},
		{"truncate", "", `{"op":"t","source":{"lsn":5}}`, stream.Other, "truncate"},
		{"message", `{"prefix":"x"}`, `{"op":"m","message":{}}`, stream.Other, "message"},
		{"new operation", `{"id":1}`, `{"op":"z"}`, stream.Other, "unknown"},
		{"begin", `{"id":"1:2"}`, `{"status":"BEGIN","id":"1:2","ts_ms":1}`, stream.Other, "transaction"},
		{"end", `{"id":"1:2"}`, `{"status":"END","id":"1:2"}`, stream.Other, "transaction"},
		{"heartbeat", `{"serverName":"x"}`, `{"ts_ms":1}`, stream.Other, "heartbeat"},
		{"schema change", `{"databaseName":"x"}`, `{"source":{},"ddl":"ALTER","tableChanges":[]}`, stream.Other, "schema-change"},
	}
	d := schemas.NewDebezium("s", nil, stream.Settings{})
	for _, tt := range tests {
		if c := change(t, d, tt.key, tt.value); c.Op != tt.op || c.Other != tt.other {
			t.Errorf("%s: %v %q", tt.name, c.Op, c.Other)
		}
	}
}

func TestRefusedRecords(t *testing.T) {
	tests := []struct{ name, key, value, message string }{
		{"no key", "", `{"op":"c","after":{"id":1}}`, "unkeyed"},
		{"null key", "null", `{"op":"d","after":null}`, "unkeyed"},
		{"key without columns", "{}", `{"op":"d"}`, "unkeyed"},
		{"key with a null payload", `{"schema":{},"payload":null}`, `{"op":"d"}`, "unkeyed"},
		{"malformed key", `{"id":1`, `{"op":"d"}`, "malformed"},
		{"Avro key", "\x00\x00\x00\x00\x01\xff", `{"op":"d"}`, "UTF-8"},
		{"flattened", `{"id":1}`, `{"id":1,"name":"x","__op":"c"}`, "ExtractNewRecordState"},
		{"no new state", `{"id":1}`, `{"op":"u","after":null}`, "`after`"},
		{"text state", `{"id":1}`, `{"op":"u","after":"{}"}`, "`after`"},
		{"cut", `{"id":1}`, `{"op":"u","after":{"id":1}`, "malformed"},
		{"garbage behind", `{"id":1}`, `{"op":"u","after":{"id":1}} x`, "malformed"},
		{"no JSON", `{"id":1}`, "\x00\x00\x00\x00\x01", "malformed"},
	}
	d := schemas.NewDebezium("s", nil, stream.Settings{})
	for _, tt := range tests {
		_, err := d.Decode(&stream.Record{Topic: "t", Key: bytesOrNil(tt.key), Value: []byte(tt.value)})
		if err == nil || stream.KindOf(err) != stream.Invalid || !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if (tt.message == "unkeyed") != errors.Is(err, schemas.ErrUnkeyed) {
			t.Errorf("%s: errors.Is ErrUnkeyed is wrong", tt.name)
		}
	}
}

func TestPosition(t *testing.T) {
	tests := []struct {
		source, position string
		time             int64
	}{
		{`{"lsn":33,"ts_ms":5,"ts_us":5001,"ts_ns":5001002}`, "33", 5001002},
		{`{"ts_us":5001,"ts_ms":5,"file":"bin.1","pos":4,"row":2,"gtid":null}`, "bin.1:4:2", 5001000},
		{`{"commit_lsn":"a:b","change_lsn":"c","event_serial_no":1,"ts_ms":5}`, "a:b:c:1", 5000000},
		{`{"scn":"12","ts_ms":5}`, "12", 5000000},
		{`{"lsn":null,"ts_ms":null}`, "", 0},
		{`null`, "", 0},
	}
	d := schemas.NewDebezium("s", nil, stream.Settings{})
	for _, tt := range tests {
		p := change(t, d, `{"id":1}`, `{"op":"d","source":`+tt.source+`}`).Position
		if p.Source != tt.position || p.Time != tt.time {
			t.Errorf("%s: %q %d", tt.source, p.Source, p.Time)
		}
	}
}

func TestUnavailable(t *testing.T) {
	forms := []string{
		`"__debezium_unavailable_value"`, `"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="`,
		`"5f5f646562657a69756d5f756e617661696c61626c655f76616c7565"`,
		`["__debezium_unavailable_value"]`, `["X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="]`,
		`[95,95,100,101,98,101,122,105,117,109,95,117,110,97,118,97,105,108,97,98,108,101,95,118,97,108,117,101]`,
		`{"__debezium_unavailable_value":"__debezium_unavailable_value"}`,
		`"{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}"`,
	}
	d := schemas.NewDebezium("s", nil, stream.Settings{})
	for _, form := range forms {
		c := change(t, d, `{"id":1}`, `{"op":"u","after":{"id":1,"x":`+form+`,"y":null}}`)
		v, missing, err := d.Fields(&c)
		if err != nil || len(missing) != 1 || missing[0] != "x" || v.Len() != 2 {
			t.Errorf("%s: %v, missing %v, %v", form, v, missing, err)
		}
	}
	c := change(t, d, `{"id":1}`, `{"op":"u","after":{"x":"about __debezium_unavailable_value"}}`)
	if v, missing, _ := d.Fields(&c); len(missing) != 0 || v.Field("x").IsNull() {
		t.Error("a text that mentions the placeholder is no placeholder")
	}
}

func TestConfiguredPlaceholder(t *testing.T) {
	d := schemas.NewDebezium("s", nil, settings(stream.Entry{Key: "unavailable", Value: stream.StringOf("-gone-")}))
	c := change(t, d, `{"id":1}`, `{"op":"u","after":{"x":"-gone-","y":"__debezium_unavailable_value"}}`)
	_, missing, err := d.Fields(&c)
	if err != nil || len(missing) != 1 || missing[0] != "x" {
		t.Error(missing, err)
	}
}

// TestImage: equal images have equal fields, so a wrapper's schema is part of the image.
func TestImage(t *testing.T) {
	wrapped := func(after, other string) string {
		return `{"schema":{"type":"struct","fields":[` + after + `],"name":"` + other + `"},"payload":{"op":"c","after":{"x":"AQ=="}}}`
	}
	bytes8 := `{"field":"after","type":"struct","fields":[{"field":"x","type":"bytes"}]}`
	text := `{"field":"after","type":"struct","fields":[{"field":"x","type":"string"}]}`
	d := schemas.NewDebezium("s", nil, stream.Settings{})
	a := change(t, d, `{"id":1}`, wrapped(bytes8, "v1"))
	b := change(t, d, `{"id":1}`, wrapped(bytes8, "v2"))
	c := change(t, d, `{"id":1}`, wrapped(text, "v1"))
	if string(a.Image) != string(b.Image) {
		t.Error("what is not part of the row's schema changes the image")
	}
	if string(a.Image) == string(c.Image) {
		t.Error("two types, one image")
	}
	later := schemas.NewDebezium("s", nil, stream.Settings{}) // has seen no schema yet
	for _, dec := range []*schemas.Debezium{d, later} {
		if v, _, err := dec.Fields(&a); err != nil || !v.Field("x").Equal(stream.BytesOf([]byte{1})) {
			t.Error(v, err)
		}
	}
}

func TestSpec(t *testing.T) {
	spec := schemas.DebeziumSpec()
	s := settings(stream.Entry{Key: "topic", Value: stream.StringOf("shop.public.t")})
	if spec.Topic("flow", "row", s) != "shop.public.t" {
		t.Error("topic")
	}
	if typ, err := spec.Type(s, nil); err != nil || typ.String() != "map" {
		t.Error(typ, err)
	}
	typ, err := spec.Type(s, []stream.Field{field("b", stream.TypeInt), field("a", decimal(2))})
	if err != nil || typ.String() != "map{a: decimal(2)?, b: int}" {
		t.Error(typ, err)
	}
	if _, err := spec.Type(s, []stream.Field{field("v", stream.VectorType(stream.F32, 3))}); err == nil {
		t.Error("a vector column was accepted")
	}
	bad := settings(stream.Entry{Key: "unavailable", Value: stream.StringOf("hex:00")})
	if _, err := spec.Type(bad, nil); err == nil {
		t.Error("a placeholder in hex form was accepted")
	}
}
