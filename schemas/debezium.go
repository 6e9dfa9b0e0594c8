package schemas

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// ErrUnkeyed marks a change whose record has no key, so that it names no document.
var ErrUnkeyed = errors.New("unkeyed: the record has no key, so it names no document; " +
	"give the table a primary key, or set message.key.columns in the connector")

// Debezium decodes Debezium's JSON envelope, with and without Connect's schema/payload wrapper, decided record by record.
//
// Operations c, u, r are upserts; d, and the tombstone after it, are deletes of the same document; so a changed key is a
// delete of the old document and an upsert of the new one. Truncates, logical messages, transaction markers, heartbeats
// and schema changes are Op Other. The image is what `after` holds, and with a wrapper the fingerprint of its schema too.
type Debezium struct {
	source   string
	prefix   string
	fields   []stream.Field
	index    map[string]int // of fields, by name; nil: none declared
	rank     []int          // of fields: their places in order of name
	names    []string       // of fields, in that order
	missing  unavailable
	decimals decimalText
	schemas  schemaCache
	naming   func(key stream.Value) (string, error) // nil: by the key's text
}

// NewDebezium returns the decoder of a source. With fields, values are converted to the declared types and other columns
// are dropped; without, all columns are kept, typed by the wrapper's schema where there is one, else by their JSON form.
// Settings are those of DebeziumSpec; the zero Settings means their defaults.
func NewDebezium(source string, fields []stream.Field, s stream.Settings) *Debezium {
	d := &Debezium{source: source, prefix: source + "/", fields: fields, decimals: decimalTextOf(s.String("decimals"))}
	placeholder := s.String("unavailable")
	if placeholder == "" {
		placeholder = defaultPlaceholder
	}
	d.missing = unavailableForms(placeholder)
	if fields != nil {
		d.index = make(map[string]int, len(fields))
	}
	for i, f := range fields {
		d.index[f.Name] = i
	}
	d.rank, d.names = ranks(fields), make([]string, len(fields))
	for i, f := range fields {
		d.names[d.rank[i]] = f.Name
	}
	return d
}

// ranks are the places of fields in order of name.
func ranks(fields []stream.Field) []int {
	rank := make([]int, len(fields))
	for i, f := range fields {
		for _, other := range fields {
			if other.Name < f.Name {
				rank[i]++
			}
		}
	}
	return rank
}

// Decode implements stream.Decoder. It copies nothing of the record but the document ID, and the image of a wrapped one.
func (d *Debezium) Decode(r *stream.Record) (stream.Change, error) {
	c := stream.Change{Record: r, Position: stream.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}}
	if null(r.Value) {
		return d.tombstone(c)
	}
	e, err := readEnvelope(r.Value)
	if err != nil {
		return c, d.invalid(r, err)
	}
	if null(e.payload) {
		return d.tombstone(c)
	}
	c.Position.Source, c.Position.Time = e.origin()
	if c.Op, c.Other, err = e.kind(); err != nil {
		return c, d.invalid(r, err)
	}
	if c.Op == stream.Other {
		return c, nil
	}
	if c.Document, err = d.document(r.Key); err != nil {
		c.Document = ""
		return c, d.invalid(r, err)
	}
	if c.Op == stream.Upsert {
		err = d.image(&c, &e)
	}
	if err != nil {
		return c, d.invalid(r, err)
	}
	return c, nil
}

// endIn is where a part of a value ends in it; 0 for no part.
func endIn(value, part []byte) int {
	if part == nil {
		return 0
	}
	return cap(value) - cap(part) + len(part) // parts are cut without a capacity of their own
}

// Upserts reports whether a value with the beginning of an upsert, as Change.Begins counts it, is one too. It knows the operation by
// the form in which Debezium writes it behind the row, and says no otherwise.
func (d *Debezium) Upserts(rest []byte) bool {
	const op = `"op":"`
	i := bytes.LastIndex(rest, []byte(op))
	if i < 0 || len(rest) < i+len(op)+2 || rest[i+len(op)+1] != '"' {
		return false
	}
	switch rest[i+len(op)] {
	case 'c', 'u', 'r':
		return true
	}
	return false
}

// tombstone is a delete that repeats the one before it; without a key it says nothing at all.
func (d *Debezium) tombstone(c stream.Change) (stream.Change, error) {
	if len(c.Record.Key) == 0 {
		c.Op, c.Other = stream.Other, "empty"
		return c, nil
	}
	var err error
	c.Op = stream.Delete
	if c.Document, err = d.document(c.Record.Key); err != nil {
		c.Document = ""
		return c, d.invalid(c.Record, err)
	}
	return c, nil
}

// image sets what the fields follow from: the bytes of `after`; with a wrapper, 0 and the fingerprint of the schema of
// `after` go before them.
func (d *Debezium) image(c *stream.Change, e *envelope) error {
	if !object(e.after) {
		return errors.New("`after` is no object: the row's new state is missing " +
			"(MongoDB's text form, and updates without a full document, are not supported)")
	}
	c.Image, c.Begins = e.after, max(endIn(c.Record.Value, e.schema), endIn(c.Record.Value, e.after))
	if !object(e.schema) {
		return nil
	}
	s, err := d.schemas.of(e.schema)
	if err != nil {
		return err
	}
	c.Image = make([]byte, 0, imagePrefix+len(e.after))
	c.Image = append(append(append(c.Image, 0), s.id[:]...), e.after...)
	return nil
}

const imagePrefix = 1 + len(stream.Fingerprint{})

func (d *Debezium) invalid(r *stream.Record, err error) error {
	op := fmt.Sprintf("decode Debezium record %s[%d]@%d of source %s", r.Topic, r.Partition, r.Offset, d.source)
	return &stream.Error{Op: op, Kind: stream.Invalid, Err: err}
}
