package schemas

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// IntakeSchema returns the Avro schema of the header that says where an intake record comes from.
func IntakeSchema() string { return schemaFile("intake.avsc") }

// IntakeRecord is a record of a flow's intake topic: a source's record as it was, and the document that its decoder named.
type IntakeRecord struct {
	Source   string
	Document string         // "": the record names none
	Original *stream.Record // of the source's topic
	Refused  string         // why the value was left out; "": it is there
}

// EncodeIntake returns the record, without a topic. The key is the document ID, or the original's position where no
// document is named; the value and the headers are the original's, behind two headers of ours. It aliases the original.
func EncodeIntake(in IntakeRecord) stream.Record {
	o := in.Original
	r := stream.Record{Key: []byte(in.Document), Value: o.Value, Headers: make([]stream.Header, 0, 2+len(o.Headers))}
	if in.Document == "" {
		r.Key = fmt.Appendf(nil, "%s/%d@%d", o.Topic, o.Partition, o.Offset)
	}
	r.Headers = append(r.Headers, stream.Header{Key: HeaderFormat, Value: []byte(format1)}, stream.Header{Key: HeaderIntake, Value: in.origin()})
	if in.Refused != "" {
		r.Value = []byte{}
		return r
	}
	r.Headers = append(r.Headers, o.Headers...)
	return r
}

func (in *IntakeRecord) origin() []byte {
	o := in.Original
	b := make([]byte, 0, len(in.Source)+len(o.Topic)+len(o.Key)+len(in.Refused)+32)
	b = appendText(appendText(b, in.Source), o.Topic)
	b = appendLong(appendLong(appendLong(b, int64(o.Partition)), o.Offset), o.Timestamp.UnixMilli())
	if o.Key == nil {
		b = appendLong(b, 0)
	} else {
		b = append(appendLong(appendLong(b, 1), int64(len(o.Key))), o.Key...)
	}
	if in.Document == "" {
		b = append(b, 0)
	} else {
		b = append(b, 1)
	}
	if in.Refused == "" {
		return appendLong(b, 0)
	}
	return appendText(appendLong(b, 1), in.Refused)
}

// DecodeIntake undoes EncodeIntake; the result aliases r. A record that is none of ours has kind Invalid, an unknown
// format kind Usage.
func DecodeIntake(r *stream.Record) (IntakeRecord, error) {
	op := fmt.Sprintf("read intake record %s[%d]@%d", r.Topic, r.Partition, r.Offset)
	if len(r.Headers) < 2 || r.Headers[0].Key != HeaderFormat || r.Headers[1].Key != HeaderIntake {
		return IntakeRecord{}, stream.Errorf(stream.Invalid, op, "it does not begin with the headers %s and %s: another program wrote it", HeaderFormat, HeaderIntake)
	}
	if f := string(r.Headers[0].Value); f != format1 {
		return IntakeRecord{}, stream.Errorf(stream.Usage, op, "it has format %.20q, but this version of Freshet reads format %s; start a newer version", f, format1)
	}
	in, o := IntakeRecord{}, &stream.Record{Value: r.Value, Headers: r.Headers[2:]}
	in.Original = o
	read := avroReader{b: r.Headers[1].Value}
	in.Source, o.Topic = read.text(), read.text()
	o.Partition, o.Offset, o.Timestamp = int32(read.long()), read.long(), time.UnixMilli(read.long())
	if read.long() == 1 {
		o.Key = read.bytes()
	}
	if read.boolean() {
		in.Document = string(r.Key)
	}
	if read.long() == 1 {
		in.Refused = read.text()
	}
	if read.err != nil || len(read.b) > 0 {
		return IntakeRecord{}, stream.Errorf(stream.Invalid, op, "header %s is malformed", HeaderIntake)
	}
	return in, nil
}

// Intake decodes a flow's intake topic: each record by the decoder of its source. Changes carry the positions of the
// source's topic. A record of a source that the flow no longer has is Op Other.
type Intake struct{ sources map[string]stream.Decoder }

// NewIntake returns the decoder of an intake topic with the records of sources, by name.
func NewIntake(sources map[string]stream.Decoder) *Intake { return &Intake{sources} }

// Decode implements stream.Decoder. The document is the one that lies in the key: it chose the partition.
func (d *Intake) Decode(r *stream.Record) (stream.Change, error) {
	in, err := DecodeIntake(r)
	if err != nil {
		return stream.Change{Record: r}, err
	}
	o := in.Original
	c := stream.Change{Document: in.Document, Record: o, Position: stream.Position{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}}
	dec := d.sources[in.Source]
	switch {
	case dec == nil:
		c.Document, c.Op, c.Other = "", stream.Other, "removed source"
		return c, nil
	case in.Refused != "":
		return c, &stream.Error{Op: in.reading(), Doc: in.Document, Kind: stream.Invalid, Err: errors.New(in.Refused)}
	}
	if c, err = dec.Decode(o); c.Op == stream.Other && err == nil {
		return c, nil
	}
	if c.Document != "" && in.Document == "" {
		c.Document = "" // its partition is another one
		return c, stream.Errorf(stream.Invalid, in.reading(), "it named no document when it was taken in; run: freshet reset -f FLOW")
	}
	c.Document = in.Document
	return c, err
}

func (in *IntakeRecord) reading() string {
	return fmt.Sprintf("decode record %s[%d]@%d of source %s", in.Original.Topic, in.Original.Partition, in.Original.Offset, in.Source)
}

// Fields implements stream.Decoder.
func (d *Intake) Fields(c *stream.Change) (stream.Value, []string, error) {
	source, _, _ := strings.Cut(c.Document, "/")
	dec := d.sources[source]
	if dec == nil {
		return stream.Value{}, nil, stream.Errorf(stream.Internal, "read the fields of document "+c.Document, "the flow has no source %q", source)
	}
	return dec.Fields(c)
}
