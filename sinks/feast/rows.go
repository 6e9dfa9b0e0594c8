package feast

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// row is an item as features.
func (t *table) row(i guard.Item) (row, error) {
	if !utf8.ValidString(i.Document) || !utf8.ValidString(i.Key) {
		return row{}, faulty(i, errors.New("its document or key is not UTF-8, which Feast's texts are"))
	}
	r := row{at: t.at(i), values: t.tombstone(i)}
	if i.Delete {
		return r, nil
	}
	r.values[3], r.values[4] = json.RawMessage("false"), quoted(string(i.Lineage))
	var exact []stream.Entry
	for _, k := range t.kept {
		v, c := i.Columns[k.column], t.Columns[k.column]
		if k.feature < 0 {
			key, err := t.joinKey(v)
			if err != nil {
				return row{}, faulty(i, fmt.Errorf("column %s: %w", c.Name, err))
			}
			r.key = key
			continue
		}
		text := jsonOf(c.Type, v)
		r.values[k.feature] = text
		if !valueOf(text, c.Type).Equal(v) {
			exact = append(exact, stream.Entry{Key: c.Name, Value: v})
		}
	}
	if len(exact) > 0 {
		r.values[5] = quoted(base64.StdEncoding.EncodeToString(stream.AppendValue(nil, stream.MapOf(exact...))))
	}
	return r, nil
}

// joinKey is the value of the column that is the join key.
func (t *table) joinKey(v stream.Value) (json.RawMessage, error) {
	var key json.RawMessage
	switch {
	case v.Kind() == stream.Int && t.keyType == typeInt:
		key = json.RawMessage(strconv.FormatInt(v.Int(), 10))
	case v.Kind() == stream.String && t.keyType == typeString && utf8.ValidString(v.Str()):
		key = quoted(v.Str())
	default:
		return nil, fmt.Errorf("a %s can't be the join key", v.Kind())
	}
	if string(key) == string(t.header()) {
		return nil, fmt.Errorf("the join key %s is for bookkeeping", key)
	}
	return key, nil
}

// tombstone is the row of features that a deleted row leaves.
func (t *table) tombstone(i guard.Item) []json.RawMessage {
	values := make([]json.RawMessage, len(t.features))
	values[0], values[1], values[2], values[3] = quoted(i.Document), quoted(i.Key), json.RawMessage(strconv.FormatInt(i.Version.Pack(), 10)), json.RawMessage("true")
	return values
}

// item undoes row; found is false for a tombstone, and where there is nothing.
func (t *table) item(r row) (i guard.Item, found bool) {
	if r.at == 0 || string(r.values[3]) == "true" {
		return i, false
	}
	i.Table, i.Document, i.Key = t.As, textOf(r.values[0]), textOf(r.values[1])
	i.Version, i.Lineage = stream.Unpack(intOf(r.values[2])), []byte(textOf(r.values[4]))
	raw, _ := base64.StdEncoding.DecodeString(textOf(r.values[5]))
	exact, err := stream.DecodeValue(raw)
	if err != nil {
		exact = stream.Value{} // none, or somebody changed it: the features decide
	}
	i.Columns = make([]stream.Value, len(t.Columns))
	for _, k := range t.kept {
		c, text := t.Columns[k.column], r.key
		if k.feature >= 0 {
			text = r.values[k.feature]
		}
		held := valueOf(text, c.Type)
		if v, kept := exact.Get(c.Name); kept && valueOf(jsonOf(c.Type, v), c.Type).Equal(held) {
			held = v
		}
		i.Columns[k.column] = held
	}
	return i, true
}
