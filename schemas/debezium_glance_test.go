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
				image, ok := d.Glance(record(f))
				keyed := err == nil && c.Op == stream.Upsert
				if keyed {
					upserts++
				}
				if keyed && !ok || ok && keyed && !bytes.Equal(image, c.Image) {
					t.Errorf("%s %s/%d: a glance finds %q (%t), decoding %q", variant, name, f.Offset, image, ok, c.Image)
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
		if image, ok := d.Glance(&stream.Record{Key: []byte(`{"id":1}`), Value: []byte(value)}); ok {
			t.Errorf("%s: a glance finds %q", value, image)
		}
	}
}
