package schemas

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/freshet-dev/freshet/stream"
)

// Fields implements stream.Decoder. Unavailable columns are returned by name, in order of appearance, and are left out
// of the map. With declared fields the map has exactly those (absent nullable ones null).
func (d *Debezium) Fields(c *stream.Change) (stream.Value, []string, error) {
	after, schema, err := d.row(c)
	if err == nil && !gjson.ValidBytes(after) {
		err = errors.New("`after` is malformed JSON")
	}
	var fields stream.Value
	var missing []string
	if err == nil {
		fields, missing, err = d.decode(gjson.ParseBytes(after), schema)
	}
	if err != nil {
		return stream.Value{}, nil, &stream.Error{Op: "read the columns of a change of source " + d.source,
			Doc: c.Document, Kind: stream.Invalid, Err: err}
	}
	return fields, missing, nil
}

// row undoes image: the bytes of `after`, and the schema of its columns with a wrapper.
func (d *Debezium) row(c *stream.Change) ([]byte, *rowSchema, error) {
	if len(c.Image) == 0 || c.Image[0] != 0 {
		return c.Image, nil, nil
	}
	if len(c.Image) < imagePrefix {
		return nil, nil, errors.New("the image is cut short")
	}
	id := stream.Fingerprint(c.Image[1:imagePrefix])
	schema := d.schemas.get(id)
	if schema == nil && c.Record != nil { // the cache started anew meanwhile: the record still has its schema
		raw, _, _ := unwrap(c.Record.Value)
		schema, _ = d.schemas.of(raw)
	}
	if schema == nil || schema.id != id {
		return nil, nil, errors.New("the image's schema is not known, and the record does not have it")
	}
	return c.Image[imagePrefix:], schema, nil
}

// columns gathers the decoded columns of one row.
type columns struct {
	entries []stream.Entry // with declared fields: by rank, those that are missing without a key
	missing []string
	seen    []bool // by index of the declared field
	err     error
}

func (d *Debezium) decode(after gjson.Result, schema *rowSchema) (stream.Value, []string, error) {
	out := columns{}
	if d.index != nil {
		out.seen, out.entries = make([]bool, len(d.fields)), make([]stream.Entry, len(d.fields))
	}
	after.ForEach(func(key, v gjson.Result) bool {
		d.column(&out, key.Str, v, schema)
		return out.err == nil
	})
	if out.err == nil {
		d.absent(&out)
	}
	return stream.MapOf(out.entries...), out.missing, out.err
}

func (d *Debezium) column(out *columns, name string, v gjson.Result, schema *rowSchema) {
	i, declared := d.index[name]
	switch {
	case declared:
		name, out.seen[i] = d.fields[i].Name, true
	case d.index != nil:
		return
	default:
		name = wellFormed(name)
	}
	if d.missing.is(v) {
		out.missing = append(out.missing, name)
		return
	}
	var hint *connectSchema
	if schema != nil {
		hint = schema.columns[name]
	}
	var x stream.Value
	if declared {
		x, out.err = d.decimals.convert(v, hint, d.fields[i].Type)
	} else {
		x, out.err = logical(v, hint, 0)
	}
	if out.err != nil {
		out.err = fmt.Errorf("column %s: %w", name, out.err)
		return
	}
	if declared {
		out.entries[d.rank[i]] = stream.Entry{Key: name, Value: x}
		return
	}
	out.entries = append(out.entries, stream.Entry{Key: name, Value: x})
}

// absent makes declared fields that the row doesn't have null, where they may be, and leaves out those that are missing.
func (d *Debezium) absent(out *columns) {
	for i, f := range d.fields {
		if out.seen[i] {
			continue
		}
		if !nullable(f.Type) {
			out.err = fmt.Errorf("column %s: the row has no such column, but it is declared %s; declare it '%s?' if it may be absent",
				f.Name, f.Type, f.Type)
			return
		}
		out.entries[d.rank[i]].Key = f.Name
	}
	if len(out.missing) > 0 {
		out.entries = slices.DeleteFunc(out.entries, func(e stream.Entry) bool { return e.Key == "" })
	}
}

func nullable(t stream.Type) bool {
	return t.Nullable || t.Kind == stream.Dynamic || t.Kind == stream.Null
}
