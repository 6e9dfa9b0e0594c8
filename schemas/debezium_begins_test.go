package schemas_test

import (
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// TestBegins: of every recorded upsert, in both forms, a beginning decides the image, and what follows says that it is an upsert;
// the other recorded events don't say so.
func TestBegins(t *testing.T) {
	upserts := 0
	for _, variant := range []string{"schemas-false", "schemas-true"} {
		d := schemas.NewDebezium("row", nil, stream.Settings{})
		for name, records := range topics(t, variant) {
			for _, f := range records {
				c, err := d.Decode(record(f))
				if err != nil {
					continue
				}
				if c.Op != stream.Upsert {
					if d.Upserts(f.Value) {
						t.Errorf("%s %s/%d: it is taken for an upsert", variant, name, f.Offset)
					}
					continue
				}
				upserts++
				if c.Begins == 0 || !d.Upserts(f.Value[c.Begins:]) {
					t.Errorf("%s %s/%d: it is not known again by its first %d bytes", variant, name, f.Offset, c.Begins)
				}
			}
		}
	}
	if upserts == 0 {
		t.Error("no upsert was recorded")
	}
}

// TestUpserts: what follows the bytes that decide an image tells whether the record is an upsert.
func TestUpserts(t *testing.T) {
	d := schemas.NewDebezium("row", nil, stream.Settings{})
	begins := func(value string) int {
		c, err := d.Decode(&stream.Record{Key: []byte(`{"id":1}`), Value: []byte(value)})
		if err != nil || c.Op != stream.Upsert {
			t.Fatalf("%s: %s, %v", value, c.Op, err)
		}
		return c.Begins
	}
	const begun = `{"before":{"id":1},"after":{"id":1,"note":"}\""}`
	if n := begins(begun + `,"source":{"op":"d"},"op":"u","ts_ms":1}`); n != len(begun) {
		t.Errorf("%d bytes are to decide the image, want %d", n, len(begun))
	}
	for rest, want := range map[string]bool{`,"op":"u"}`: true, `,"op":"r","ts_ms":1}`: true, `,"op":"c"}`: true, `,"op":"d"}`: false, `}`: false, ``: false,
		`,"op":"`: false, `,"op":"u`: false, `,"op":"update"}`: false, `,"op":"u","source":{"op":"d"}}`: false} {
		if d.Upserts([]byte(rest)) != want {
			t.Errorf("%s: want %t", rest, want)
		}
	}
	// Where the operation comes first, the beginning does not say enough.
	const first = `{"op":"u","after":{"id":1}}`
	if d.Upserts([]byte(first[begins(first):])) {
		t.Errorf("%s: what follows its beginning is no operation", first)
	}
}
