package schemas_test

import (
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

func TestFileEvents(t *testing.T) {
	tests := []struct {
		name   string
		event  schemas.FileEvent
		fields string
	}{
		{"text", schemas.FileEvent{Path: "a/b.md", Content: []byte("# é"), Size: 4},
			`{"content": "# é", "ext": "md", "name": "b.md", "path": "a/b.md", "size": 4}`},
		{"empty", schemas.FileEvent{Path: "Makefile"},
			`{"content": "", "ext": "", "name": "Makefile", "path": "Makefile", "size": 0}`},
		{"no UTF-8", schemas.FileEvent{Path: "x.tar.gz", Content: []byte{0xff, 0}, Size: 2},
			`{"bytes": 0xff00, "content": null, "ext": "gz", "name": "x.tar.gz", "path": "x.tar.gz", "size": 2}`},
	}
	d := schemas.NewFiles("page")
	for _, tt := range tests {
		tt.event.Source, tt.event.Modified = "page", 1234
		r := schemas.EncodeFile(tt.event)
		c, err := d.Decode(&r)
		if err != nil || c.Op != stream.Upsert || c.Document != "page/"+tt.event.Path || c.Position.Time != 1234 {
			t.Errorf("%s: %+v %v", tt.name, c, err)
		}
		if v, _, err := d.Fields(&c); err != nil || v.String() != tt.fields {
			t.Errorf("%s: %v %v", tt.name, v, err)
		}
		if string(r.Value) != string(tt.event.Content) || r.Value == nil {
			t.Errorf("%s: the value is not the content", tt.name)
		}
	}
}

// TestEmptyFileIsNoDelete: a client that reads an empty value as null must not delete the document.
func TestEmptyFileIsNoDelete(t *testing.T) {
	r := schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: "empty"})
	r.Value = nil
	c, err := schemas.NewFiles("page").Decode(&r)
	if err != nil || c.Op != stream.Upsert || c.Image == nil {
		t.Errorf("%+v %v", c, err)
	}
}

func TestFileDelete(t *testing.T) {
	r := schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: "gone", Op: schemas.FileDelete})
	for range 2 {
		c, err := schemas.NewFiles("page").Decode(&r)
		if err != nil || c.Op != stream.Delete || c.Document != "page/gone" || r.Value != nil {
			t.Errorf("%+v %v", c, err)
		}
		r.Headers = nil // written by hand
	}
}

func TestFileRefused(t *testing.T) {
	r := schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: "big", Op: schemas.FileRefused, Size: 9 << 20, Reason: "larger than max_bytes"})
	c, err := schemas.NewFiles("page").Decode(&r)
	if stream.KindOf(err) != stream.Invalid || c.Document != "page/big" || !strings.Contains(err.Error(), "larger than max_bytes") {
		t.Errorf("%+v %v", c, err)
	}
}

func TestFileRecordsOfOthers(t *testing.T) {
	good := schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: "x"})
	other, newer, unknown := good, good, good
	other.Key = []byte("elsewhere/x")
	newer.Headers = append(newer.Headers[:0:0], stream.Header{Key: schemas.HeaderFormat, Value: []byte("2")}, stream.Header{Key: schemas.HeaderOp, Value: []byte("put")})
	unknown.Headers = append(good.Headers[:len(good.Headers):len(good.Headers)], stream.Header{Key: schemas.HeaderOp, Value: []byte("rename")})
	for _, r := range []stream.Record{other, newer, unknown, {Value: []byte("x")}} {
		if _, err := schemas.NewFiles("page").Decode(&r); stream.KindOf(err) != stream.Invalid || err == nil {
			t.Errorf("%s: %v", r.Key, err)
		}
	}
}

func TestFilesSpec(t *testing.T) {
	spec := schemas.FilesSpec()
	typ, err := spec.Type(stream.Settings{}, nil)
	if err != nil || typ.String() != "map{content: string?, ext: string, name: string, path: string, size: int}" {
		t.Error(typ, err)
	}
	if _, err := spec.Type(stream.Settings{}, []stream.Field{}); err == nil {
		t.Error("declared fields were accepted")
	}
	if topic := spec.Topic("handbook", "page", stream.Settings{}); topic != "handbook.files.page" {
		t.Error(topic)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add([]byte("page/x"), []byte("y"), "put")
	f.Fuzz(func(t *testing.T, key, value []byte, op string) {
		d := schemas.NewFiles("page")
		c, err := d.Decode(&stream.Record{Key: key, Value: value, Headers: []stream.Header{
			{Key: schemas.HeaderFormat, Value: []byte("1")}, {Key: schemas.HeaderOp, Value: []byte(op)}}})
		if err != nil && stream.KindOf(err) != stream.Invalid {
			t.Fatal(err)
		}
		if err == nil && c.Op == stream.Upsert {
			if v, _, err := d.Fields(&c); err != nil || v.Field("path").Str() != strings.TrimPrefix(string(key), "page/") {
				t.Fatal(v, err)
			}
		}
	})
}
