package schemas

import (
	"errors"
	"fmt"

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
	entries []stream.Entry // of columns that need no declaration
	values  []stream.Value // of declared fields, by rank
	seen    []sighting     // of declared fields, by rank
	missing []string
	err     error
}

type sighting uint8

const (
	unseen sighting = iota
	unsent          // only as unavailable
	held
)

func (d *Debezium) decode(after gjson.Result, schema *rowSchema) (stream.Value, []string, error) {
	out := columns{}
	if d.index != nil {
		out.seen, out.values = make([]sighting, len(d.fields)), make([]stream.Value, len(d.fields))
	}
	after.ForEach(func(key, v gjson.Result) bool {
		d.column(&out, key.Str, v, schema)
		return out.err == nil
	})
	if d.index != nil && out.err == nil {
		out.err = d.absent(&out)
	}
	if d.index != nil && len(out.missing) == 0 {
		return stream.SortedMap(d.names, out.values), nil, out.err
	}
	for i, s := range out.seen {
		if s == held {
			out.entries = append(out.entries, stream.Entry{Key: d.names[i], Value: out.values[i]})
		}
	}
	return stream.MapOf(out.entries...), out.missing, out.err
}

func (d *Debezium) column(out *columns, name string, v gjson.Result, schema *rowSchema) {
	i, declared := d.index[name]
	switch {
	case declared:
		name, out.seen[d.rank[i]] = d.fields[i].Name, max(out.seen[d.rank[i]], unsent)
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
		out.seen[d.rank[i]], out.values[d.rank[i]] = held, x
		return
	}
	out.entries = append(out.entries, stream.Entry{Key: name, Value: x})
}

// absent makes declared fields that the row doesn't have null, where they may be.
func (d *Debezium) absent(out *columns) error {
	for i, f := range d.fields {
		if out.seen[d.rank[i]] != unseen {
			continue
		}
		if !nullable(f.Type) {
			return fmt.Errorf("column %s: the row has no such column, but it is declared %s; declare it '%s?' if it may be absent",
				f.Name, f.Type, f.Type)
		}
		out.seen[d.rank[i]] = held
	}
	return nil
}

func nullable(t stream.Type) bool {
	return t.Nullable || t.Kind == stream.Dynamic || t.Kind == stream.Null
}
