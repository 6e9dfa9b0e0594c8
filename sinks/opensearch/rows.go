package opensearch

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// ownField is the object of what a document holds beside its columns.
const ownField = "_freshet"

// own is that object.
type own struct {
	Document  string `json:"document"`
	Key       string `json:"key"`
	Version   int64  `json:"version"`
	Epoch     int64  `json:"epoch"`
	Partition int32  `json:"partition"`
	Deleted   bool   `json:"deleted,omitempty"`
	At        int64  `json:"at"`
	Lineage   string `json:"lineage,omitempty"`
	Exact     []byte `json:"exact,omitempty"`
}

// document returns a row, or its tombstone, as the source of a document.
func (t *table) document(i guard.Item) ([]byte, error) {
	for _, part := range []string{i.Document, i.Key, string(i.Lineage)} {
		if !utf8.ValidString(part) {
			return nil, t.faulty(i, fmt.Errorf("its ID, the row's key or its lineage, %.80q, is not UTF-8, which OpenSearch can't keep", part))
		}
	}
	if len(i.Document) > maxTerm || len(i.Key) > maxTerm {
		return nil, t.faulty(i, fmt.Errorf("its ID or the row's key %.80q is longer than OpenSearch's %d bytes", i.Key, maxTerm))
	}
	o := own{Document: i.Document, Key: i.Key, Version: i.Version.Pack(), Epoch: i.Epoch, Partition: i.Partition, Deleted: i.Delete, At: i.At.UnixMilli()}
	b := []byte{'{'}
	if !i.Delete {
		var err error
		if b, o.Exact, err = t.appendColumns(b, i); err != nil {
			return nil, err
		}
		o.Lineage = string(i.Lineage)
	}
	text, err := json.Marshal(o)
	return append(append(fmt.Appendf(b, "%q:", ownField), text...), '}'), err
}

func (t *table) faulty(i guard.Item, err error) error {
	return &stream.Error{Op: "write to table " + t.As, Doc: i.Document, Kind: stream.Usage, Err: err}
}

// appendColumns appends the columns, each with a comma behind it, and returns those that their fields do not tell.
func (t *table) appendColumns(b []byte, i guard.Item) (_, exact []byte, err error) {
	var untold []stream.Entry
	for n, c := range t.columns {
		v := i.Columns[n]
		if !fits(v, c.Type) {
			return nil, nil, t.faulty(i, fmt.Errorf("column %s: a %s in a column of %s", c.Name, v.Kind(), c.Type))
		}
		text := t.jsonOf(c.Field, v)
		if !valueOf(text, c.Type).Equal(v) {
			untold = append(untold, stream.Entry{Key: c.Name, Value: v})
		}
		if text == nil {
			continue
		}
		if b, err = jsonvalue.AppendString(b, c.field); err != nil {
			return nil, nil, err
		}
		b = append(append(append(b, ':'), text...), ',')
	}
	if len(untold) > 0 {
		exact = stream.AppendValue(nil, stream.MapOf(untold...))
	}
	return b, exact, nil
}

func fits(v stream.Value, t stream.Type) bool {
	if t.Kind == stream.Vector && v.Kind() == stream.Vector {
		return v.Elem() == t.Element && v.Dims() == t.Dims
	}
	return v.IsNull() || v.Kind() == t.Kind || t.Kind == stream.Dynamic || t.Kind == stream.Null
}

// source is a document as it is read.
type source map[string]json.RawMessage

// own reads what is beside the columns: zero where somebody else made the document.
func (s source) own() (o own) {
	if json.Unmarshal(s[ownField], &o) != nil {
		return own{}
	}
	return o
}

// row undoes document.
func (t *table) row(s source) guard.Item {
	o := s.own()
	i := o.held()
	i.Table, i.Document, i.Key, i.Lineage = t.As, o.Document, o.Key, []byte(o.Lineage)
	i.Columns = make([]stream.Value, len(t.columns))
	for n, c := range t.columns {
		i.Columns[n] = t.column(c, s, o.exact())
	}
	return i
}

// held is what the guard compares.
func (o own) held() guard.Item {
	i := guard.Item{Partition: o.Partition, Epoch: o.Epoch, At: time.UnixMilli(o.At)}
	i.Version, i.Delete = stream.Unpack(o.Version), o.Deleted
	return i
}

func (o own) exact() stream.Value {
	v, err := stream.DecodeValue(o.Exact)
	if err != nil {
		return stream.Value{} // none, or somebody changed it: the fields decide
	}
	return v
}

// column prefers what was kept exactly, unless the field is no longer what was written with it.
func (t *table) column(c column, s source, exact stream.Value) stream.Value {
	text := s[c.field]
	if string(text) == "null" {
		text = nil
	}
	if v, kept := exact.Get(c.Name); kept && agree(t.jsonOf(c.Field, v), text) {
		return v
	}
	return valueOf(text, c.Type)
}
