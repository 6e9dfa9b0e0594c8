package engine

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// TestPack: a header comes out of the cache as it went in, whatever else lies there.
func TestPack(t *testing.T) {
	fingerprint := rapid.Custom(func(t *rapid.T) (f stream.Fingerprint) {
		copy(f[:], rapid.SliceOfN(rapid.Byte(), len(f), len(f)).Draw(t, "fingerprint"))
		return f
	})
	position := rapid.Custom(func(t *rapid.T) stream.Position {
		return stream.Position{Topic: rapid.StringN(0, 2, -1).Draw(t, "topic"), Partition: rapid.Int32().Draw(t, "partition"),
			Offset: rapid.Int64().Draw(t, "offset"), Source: rapid.String().Draw(t, "source"), Time: rapid.Int64().Draw(t, "time")}
	})
	row := rapid.Custom(func(t *rapid.T) emittedRow {
		return emittedRow{rapid.StringN(0, 2, -1).Draw(t, "table"), rapid.String().Draw(t, "key"), fingerprint.Draw(t, "row")}
	})
	rapid.Check(t, func(t *rapid.T) {
		c, held := newHeaderCache(), map[string]Header{}
		for range rapid.IntRange(1, 30).Draw(t, "puts") {
			id := rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "id")
			if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
				c.drop(id)
				delete(held, id)
				continue
			}
			h := Header{ID: id, Status: Status(rapid.Byte().Draw(t, "status")), Image: fingerprint.Draw(t, "image"), Input: fingerprint.Draw(t, "input"),
				ReadSet: fingerprint.Draw(t, "read set"), Logic: fingerprint.Draw(t, "logic"), Position: position.Draw(t, "position"),
				Parts: rapid.Int().Draw(t, "parts"), InputBytes: rapid.Int().Draw(t, "bytes"), Rows: rapid.Int().Draw(t, "rows"),
				Memos: rapid.Int().Draw(t, "memos"), Reason: rapid.String().Draw(t, "reason"), Open: rapid.Int64().Draw(t, "open"), size: rapid.Int().Draw(t, "size")}
			if rapid.Bool().Draw(t, "failed") {
				p := position.Draw(t, "failed at")
				h.Failed = &p
			}
			if rapid.Bool().Draw(t, "parked") {
				h.Parked = &Parked{Due: rapid.Int64().Draw(t, "due"), Times: rapid.Int().Draw(t, "times"), Attempts: rapid.Int().Draw(t, "attempts"),
					Reason: rapid.String().Draw(t, "last"), Node: rapid.String().Draw(t, "node")}
			}
			if rows := rapid.SliceOfN(row, 0, fewRows).Draw(t, "few"); len(rows) > 0 {
				h.Few = rows
			}
			c.put(h)
			held[id] = h
		}
		for _, id := range []string{"", "a", "b", "c", "d"} {
			got, ok := c.get(id)
			want, known := held[id]
			if ok != known || ok && !reflect.DeepEqual(got, want) {
				t.Fatalf("%q: got %+v (%t), want %+v (%t)", id, got, ok, want, known)
			}
		}
	})
}

// TestPackHasAllFields: a field that a header gets is packed too, and drawn above.
func TestPackHasAllFields(t *testing.T) {
	const packed = 17 // with the ID, which is known, and without Inline, which is not kept
	if n := reflect.TypeFor[Header]().NumField(); n != packed+1 {
		t.Errorf("a header has %d fields, of which %d are packed: pack, unpack and TestPack have to know the others", n, packed)
	}
	if n := reflect.TypeFor[stream.Position]().NumField(); n != 5 {
		t.Errorf("a position has %d fields, of which 5 are packed", n)
	}
	if n := reflect.TypeFor[Parked]().NumField(); n != 5 {
		t.Errorf("what is said of a parked document has %d fields, of which 5 are packed", n)
	}
	if n := reflect.TypeFor[emittedRow]().NumField(); n != 3 {
		t.Errorf("a row has %d fields, of which 3 are packed", n)
	}
}
