package schemas_test

import (
	"bytes"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// TestGlance: of every recorded record, in both forms, a glance says what decoding says, and that an upsert is one.
func TestGlance(t *testing.T) {
	upserts := 0
	for _, variant := range []string{"schemas-false", "schemas-true"} {
		d := schemas.NewDebezium("row", nil, stream.Settings{})
		for name, records := range topics(t, variant) {
			for _, f := range records {
				c, err := d.Decode(record(f))
				image, begins, ok := d.Glance(record(f))
				keyed := err == nil && c.Op == stream.Upsert
				if keyed {
					upserts++
				}
				if keyed && !ok || ok && keyed && !bytes.Equal(image, c.Image) {
					t.Errorf("%s %s/%d: a glance finds %q (%t), decoding %q", variant, name, f.Offset, image, ok, c.Image)
				}
				if ok && (begins == 0 || !d.Upserts(f.Value[begins:])) {
					t.Errorf("%s %s/%d: a glance does not know it again from its first %d bytes", variant, name, f.Offset, begins)
				}
				if ok && err == nil && c.Op != stream.Upsert {
					t.Errorf("%s %s/%d: a glance takes a %s for an upsert", variant, name, f.Offset, c.Op)
				}
			}
		}
	}
	if upserts == 0 {
		t.Error("no upsert was recorded")
	}
	d := schemas.NewDebezium("row", nil, stream.Settings{})
	for _, value := range []string{"", "null", "{", `{"op":"u"}`, `{"op":"u","after":1}`, `{"op":"u","after":{}} x`, `{"op":"x","after":{}}`, `{"op":"d","after":{}}`} {
		if image, _, ok := d.Glance(&stream.Record{Key: []byte(`{"id":1}`), Value: []byte(value)}); ok {
			t.Errorf("%s: a glance finds %q", value, image)
		}
	}
}

// TestBeginnings: what follows the bytes that decide an image tells whether the record is an upsert.
func TestBeginnings(t *testing.T) {
	d := schemas.NewDebezium("row", nil, stream.Settings{})
	const begun = `{"before":{"id":1},"after":{"id":1,"note":"}\""}`
	value := []byte(begun + `,"source":{"op":"d"},"op":"u","ts_ms":1}`)
	if _, n, ok := d.Glance(&stream.Record{Key: []byte(`{"id":1}`), Value: value}); !ok || string(value[:n]) != begun {
		t.Errorf("a glance finds %q (%t), want %q", value[:n], ok, begun)
	}
	for rest, want := range map[string]bool{`,"op":"u"}`: true, `,"op":"r","ts_ms":1}`: true, `,"op":"c"}`: true, `,"op":"d"}`: false, `}`: false, ``: false,
		`,"op":"`: false, `,"op":"u`: false, `,"op":"update"}`: false, `,"op":"u","source":{"op":"d"}}`: false} {
		if d.Upserts([]byte(rest)) != want {
			t.Errorf("%s: want %t", rest, want)
		}
	}
	// Where the operation comes first, the beginning does not say enough.
	value = []byte(`{"op":"u","after":{"id":1}}`)
	if _, n, ok := d.Glance(&stream.Record{Key: []byte(`{"id":1}`), Value: value}); !ok || d.Upserts(value[n:]) {
		t.Errorf("%s (%t): what follows its beginning is no operation", value, ok)
	}
}
