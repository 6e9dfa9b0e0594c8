package schemas_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// original is a record of a source's topic.
func original() *stream.Record {
	return &stream.Record{Topic: "shop.public.tickets", Partition: 2, Offset: 1 << 40, Timestamp: time.UnixMilli(1795342363624),
		Key: []byte(`{"id":7}`), Value: []byte(`{"op":"c","after":{"id":7,"title":"x"},"source":{"lsn":5}}`),
		Headers: []stream.Header{{Key: "freshet.format", Value: []byte("other")}, {Key: "h", Value: []byte{0, 255}}}}
}

func TestGoldenIntake(t *testing.T) {
	want := schemas.IntakeRecord{Source: "ticket", Document: "ticket/7", Original: original()}
	r := schemas.EncodeIntake(want)
	r.Headers[1].Value = golden(t, "intake.avro", r.Headers[1].Value)
	golden(t, "intake.key", r.Key)
	got, err := schemas.DecodeIntake(&r)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	native, rest, err := ok(goavro.NewCodec(schemas.IntakeSchema())).NativeFromBinary(r.Headers[1].Value)
	if err != nil || len(rest) > 0 {
		t.Fatal(err, len(rest))
	}
	m := native.(map[string]any)
	if m["source"] != "ticket" || m["topic"] != "shop.public.tickets" || m["partition"] != int32(2) || m["offset"] != int64(1<<40) ||
		m["timestamp"] != int64(1795342363624) || m["document"] != true || m["refused"] != nil ||
		!bytes.Equal(m["key"].(map[string]any)["bytes"].([]byte), want.Original.Key) {
		t.Errorf("an Avro library reads %v", m)
	}
}

// TestIntakeRoundTrip: keys, values and headers come back as they were, absent ones too.
func TestIntakeRoundTrip(t *testing.T) {
	for name, change := range map[string]func(in *schemas.IntakeRecord){
		"tombstone":   func(in *schemas.IntakeRecord) { in.Original.Value = nil },
		"no key":      func(in *schemas.IntakeRecord) { in.Document, in.Original.Key = "", nil },
		"empty key":   func(in *schemas.IntakeRecord) { in.Document, in.Original.Key = "", []byte{} },
		"no headers":  func(in *schemas.IntakeRecord) { in.Original.Headers = []stream.Header{} },
		"no document": func(in *schemas.IntakeRecord) { in.Document = "" },
	} {
		want := schemas.IntakeRecord{Source: "ticket", Document: "ticket/7", Original: original()}
		change(&want)
		r := schemas.EncodeIntake(want)
		if got, err := schemas.DecodeIntake(&r); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v of %+v, %v", name, got, want.Original, err)
		}
		if want.Document == "" && string(r.Key) != "shop.public.tickets/2@1099511627776" {
			t.Errorf("%s: key %q", name, r.Key)
		}
	}
}

func TestIntakeRefusals(t *testing.T) {
	r := schemas.EncodeIntake(schemas.IntakeRecord{Source: "ticket", Document: "ticket/7", Original: original()})
	for name, c := range map[string]struct {
		change func(r *stream.Record)
		kind   stream.ErrorKind
	}{
		"foreign":   {func(r *stream.Record) { r.Headers = r.Headers[2:] }, stream.Invalid},
		"newer":     {func(r *stream.Record) { r.Headers[0].Value = []byte("2") }, stream.Usage},
		"cut":       {func(r *stream.Record) { r.Headers[1].Value = r.Headers[1].Value[:9] }, stream.Invalid},
		"more":      {func(r *stream.Record) { r.Headers[1].Value = append(bytes.Clone(r.Headers[1].Value), 0) }, stream.Invalid},
		"no header": {func(r *stream.Record) { r.Headers = nil }, stream.Invalid},
	} {
		bad := r
		bad.Headers = append([]stream.Header(nil), r.Headers...)
		c.change(&bad)
		if _, err := schemas.DecodeIntake(&bad); stream.KindOf(err) != c.kind || err == nil {
			t.Errorf("%s: kind %v: %v", name, stream.KindOf(err), err)
		}
	}
}

// TestIntakeDecodes: every record by its source's decoder, with the position of the source's topic.
func TestIntakeDecodes(t *testing.T) {
	tickets := schemas.NewDebezium("ticket", nil, stream.Settings{})
	dec := schemas.NewIntake(map[string]stream.Decoder{"ticket": tickets, "page": schemas.NewFiles("page")})
	in := schemas.IntakeRecord{Source: "ticket", Document: "ticket/7", Original: original()}
	r := schemas.EncodeIntake(in)
	c, err := dec.Decode(&r)
	if err != nil || c.Document != "ticket/7" || c.Position.Topic != "shop.public.tickets" || c.Position.Offset != 1<<40 || c.Position.Source != "5" || c.Record.Topic != c.Position.Topic {
		t.Fatalf("%+v %v", c, err)
	}
	fields, _, err := dec.Fields(&c)
	if err != nil || fields.Field("title").Str() != "x" {
		t.Errorf("%v %v", fields, err)
	}
	file := schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: "a.md", Op: schemas.FileRefused, Reason: "too large"})
	r = schemas.EncodeIntake(schemas.IntakeRecord{Source: "page", Document: "page/a.md", Original: &file})
	if c, err := dec.Decode(&r); c.Document != "page/a.md" || stream.KindOf(err) != stream.Invalid || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%+v %v", c, err)
	}
	in.Refused = "the record is too large"
	r = schemas.EncodeIntake(in)
	if c, err := dec.Decode(&r); c.Document != "ticket/7" || stream.KindOf(err) != stream.Invalid || !strings.Contains(err.Error(), "too large") {
		t.Errorf("%+v %v", c, err)
	}
	in.Refused, in.Document = "", ""
	r = schemas.EncodeIntake(in)
	if c, err := dec.Decode(&r); c.Document != "" || stream.KindOf(err) != stream.Invalid {
		t.Errorf("%+v %v", c, err)
	}
	in.Source = "gone"
	r = schemas.EncodeIntake(in)
	if c, err := dec.Decode(&r); err != nil || c.Op != stream.Other {
		t.Errorf("%+v %v", c, err)
	}
}

// TestNamedDebezium: an ID formula is given the key's columns, typed; deletes and tombstones are named as upserts are.
func TestNamedDebezium(t *testing.T) {
	dec := schemas.NewDebezium("ticket", nil, stream.Settings{}).Named(func(key stream.Value) (string, error) {
		switch id := key.Field("id"); id.Kind() {
		case stream.Int:
			return key.Field("tenant").Str() + "-" + stream.IntOf(id.Int()+1).String(), nil
		case stream.Null:
			return key.Str(), nil
		}
		return "", stream.Errorf(stream.Invalid, "name", "no number")
	})
	upsert, gone := []byte(`{"op":"c","after":{"id":7}}`), []byte(`{"op":"d","before":{"id":7},"after":null}`)
	for _, c := range []struct {
		key, document string
		value         []byte
	}{
		{`{"tenant":"a","id":7}`, "ticket/a-8", upsert},
		{`{"tenant":"a","id":7}`, "ticket/a-8", gone},
		{`{"tenant":"a","id":7}`, "ticket/a-8", nil},
		{`{"schema":{"type":"struct"},"payload":{"tenant":"a","id":7}}`, "ticket/a-8", upsert},
		{`plain`, "ticket/plain", upsert},
		{`"quoted"`, "ticket/quoted", upsert},
		{`{"id":"x"}`, "", upsert},
		{`{}`, "", upsert},
		{`{"id":`, "", gone},
		{``, "", upsert},
	} {
		got, err := dec.Decode(&stream.Record{Key: []byte(c.key), Value: c.value})
		if got.Document != c.document || (err == nil) != (c.document != "") || err != nil && stream.KindOf(err) != stream.Invalid {
			t.Errorf("%s: %q, %v", c.key, got.Document, err)
		}
	}
}
