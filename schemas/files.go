package schemas

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/stream"
)

// FileOp is what happened to a file.
type FileOp uint8

// File operations.
const (
	FilePut     FileOp = iota // the file is there, with this content
	FileDelete                // the file is gone
	FileRefused               // the file is there but can't be sent: too large, unreadable
)

var fileOps = [...]string{"put", "delete", "refused"}

// FileEvent is one change of a file of a source.
type FileEvent struct {
	Source   string
	Path     string // below the root, with slashes, UTF-8
	Op       FileOp
	Content  []byte // with FilePut
	Size     int64  // bytes of the file, also when it is refused
	Modified int64  // ns since 1970, 0: unknown
	Reason   string // with FileRefused: why, and what the user can do
}

// EncodeFile returns the event's record, without a topic. The key is the document ID, "<source>/<path>"; the value of a
// put is the file's content itself, so that any consumer can read it, and of anything else null. It aliases Content.
func EncodeFile(e FileEvent) stream.Record {
	r := stream.Record{Key: []byte(e.Source + "/" + e.Path), Headers: []stream.Header{
		{Key: HeaderFormat, Value: []byte(format1)},
		{Key: HeaderOp, Value: []byte(fileOps[e.Op])},
		{Key: HeaderPath, Value: []byte(e.Path)},
		{Key: HeaderSize, Value: strconv.AppendInt(nil, e.Size, 10)},
		{Key: HeaderModified, Value: strconv.AppendInt(nil, e.Modified, 10)},
	}}
	switch e.Op {
	case FilePut:
		r.Value = e.Content
		if r.Value == nil {
			r.Value = []byte{}
		}
	case FileRefused:
		r.Value = []byte{} // no tombstone: compaction must keep it
		r.Headers = append(r.Headers, stream.Header{Key: HeaderReason, Value: []byte(e.Reason)})
	}
	return r
}

// Files decodes file records. The fields are path, name (its last element), ext (of the name, without the dot), size
// (bytes) and content, a string; a file that is no UTF-8 has content null and its bytes under `bytes`, so that state
// holds each file once. The image is the content.
type Files struct {
	source, prefix string
}

// NewFiles returns the decoder of a source.
func NewFiles(source string) *Files { return &Files{source, source + "/"} }

// Decode implements stream.Decoder. A refused file is an error of kind Invalid that comes with the change, whose
// Document is set: the engine quarantines that document.
func (f *Files) Decode(r *stream.Record) (stream.Change, error) {
	c := stream.Change{Record: r, Document: string(r.Key),
		Position: stream.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}}
	if !strings.HasPrefix(c.Document, f.prefix) || !utf8.ValidString(c.Document) {
		c.Document = ""
		return c, f.invalid(r, "", fmt.Errorf("the key is no document of source %s: the topic holds other records", f.source))
	}
	op, described := header(r, HeaderOp)
	if r.Value == nil && (!described || op == "delete") {
		c.Op = stream.Delete
	}
	if !described && c.Op == stream.Delete {
		return c, nil // a tombstone by other means
	}
	if !isFormat1(r) {
		return c, f.invalid(r, c.Document, errFormat(r))
	}
	c.Position.Source, c.Position.Time = fileState(r)
	switch op {
	case "put":
		c.Image = r.Value
		if c.Image == nil {
			c.Image = []byte{}
		}
		return c, nil
	case "delete":
		c.Op = stream.Delete
		return c, nil
	case "refused":
		reason, _ := header(r, HeaderReason)
		return c, f.invalid(r, c.Document, errors.New(reason))
	}
	return c, f.invalid(r, c.Document, fmt.Errorf("unknown operation %q", op))
}

// fileState is the source position of a file: its size and modification time.
func fileState(r *stream.Record) (state string, modified int64) {
	size, _ := header(r, HeaderSize)
	ns, _ := header(r, HeaderModified)
	modified, _ = strconv.ParseInt(ns, 10, 64)
	return size + "@" + ns, modified
}

// Fields implements stream.Decoder. Nothing is ever unavailable.
func (f *Files) Fields(c *stream.Change) (stream.Value, []string, error) {
	file := strings.TrimPrefix(c.Document, f.prefix)
	entries := []stream.Entry{
		{Key: "path", Value: stream.StringOf(file)},
		{Key: "name", Value: stream.StringOf(path.Base(file))},
		{Key: "ext", Value: stream.StringOf(strings.TrimPrefix(path.Ext(file), "."))},
		{Key: "size", Value: stream.IntOf(int64(len(c.Image)))},
	}
	if utf8.Valid(c.Image) {
		entries = append(entries, stream.Entry{Key: "content", Value: stream.StringOf(string(c.Image))})
	} else {
		entries = append(entries, stream.Entry{Key: "content"}, stream.Entry{Key: "bytes", Value: stream.BytesOf(c.Image)})
	}
	return stream.MapOf(entries...), nil, nil
}

func (f *Files) invalid(r *stream.Record, doc string, err error) error {
	op := fmt.Sprintf("decode file record %s[%d]@%d", r.Topic, r.Partition, r.Offset)
	return &stream.Error{Op: op, Doc: doc, Kind: stream.Invalid, Err: err}
}
