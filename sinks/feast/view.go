package feast

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// feature is a feature of a view, and its type as Feast calls it.
type feature struct{ name, of string }

// view is a feature view, with a push source of the same name.
type view struct {
	name         string
	key, keyType string // join key
	features     []feature
}

// timestampField is the timestamp field of a view's batch source.
const timestampField = "event_timestamp"

// row is a row of a view: its join key, event timestamp, and values in the order of the features, nil for null.
type row struct {
	key    json.RawMessage
	at     int64 // microseconds since 1970; 0 for a row that is not there
	values []json.RawMessage
}

// Bounds of one request, a row that is larger by itself aside.
const bytesInPush, rowsInRead = 1 << 20, 512

// push writes rows; those whose event timestamp is not above the one held are left out. Rows are pushed in requests of their own where their ints are
// null in other places: the server makes a table of them, in which ints beside nulls become doubles.
func (s *store) push(ctx context.Context, doing string, v *view, rows []row) error {
	groups := map[string][]row{}
	for _, r := range rows {
		nulls := v.nulls(r)
		groups[nulls] = append(groups[nulls], r)
	}
	for _, group := range groups {
		for len(group) > 0 {
			n := some(group)
			body := v.frame(group[:n])
			if err := s.do(ctx, doing, "push", body, nil); err != nil {
				return err
			}
			group = group[n:]
		}
	}
	return nil
}

// nulls says which ints of a row are null.
func (v *view) nulls(r row) string {
	var b strings.Builder
	for n, f := range v.features {
		if f.of == typeInt && r.values[n] == nil {
			fmt.Fprintf(&b, "%d ", n)
		}
	}
	return b.String()
}

// some returns how many of the rows go into one request: at least one.
func some(rows []row) int {
	size := 0
	for n, r := range rows {
		for _, value := range r.values {
			size += len(value)
		}
		if size > bytesInPush && n > 0 {
			return n
		}
	}
	return len(rows)
}

// frame is the body of a push: a list for each column.
func (v *view) frame(rows []row) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"push_source_name":%s,"to":"online","df":{`, quoted(v.name))
	column := func(name string, value func(row) []byte) {
		fmt.Fprintf(&b, "%s:[", quoted(name))
		for n, r := range rows {
			if n > 0 {
				b.WriteByte(',')
			}
			if text := value(r); text != nil {
				b.Write(text)
			} else {
				b.WriteString("null")
			}
		}
		b.WriteByte(']')
	}
	column(v.key, func(r row) []byte { return r.key })
	b.WriteByte(',')
	column(timestampField, func(r row) []byte { return quoted(time.UnixMicro(r.at).UTC().Format(timeLayout)) })
	for n, f := range v.features {
		b.WriteByte(',')
		column(f.name, func(r row) []byte { return r.values[n] })
	}
	b.WriteString("}}")
	return b.Bytes()
}

// timeLayout is how event timestamps are pushed: all alike.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func quoted(text string) json.RawMessage {
	b, _ := json.Marshal(text) // of a string it can't fail
	return b
}

// read returns the rows of keys, in their order, with the values of some features, in their order.
func (s *store) read(ctx context.Context, doing string, v *view, features []string, keys []json.RawMessage) (rows []row, err error) {
	for len(keys) > 0 && err == nil {
		n := min(len(keys), rowsInRead)
		var some []row
		some, err = s.readSome(ctx, doing, v, features, keys[:n])
		rows, keys = append(rows, some...), keys[n:]
	}
	return rows, err
}

// answer is what the server says of features: for each, the values of all keys.
type answer struct {
	Metadata struct {
		Names []string `json:"feature_names"`
	}
	Results []struct {
		Values []json.RawMessage
		At     []string `json:"event_timestamps"`
	}
}

func (s *store) readSome(ctx context.Context, doing string, v *view, features []string, keys []json.RawMessage) ([]row, error) {
	names := make([]string, len(features))
	place := make(map[string]int, len(features))
	for n, f := range features {
		names[n], place[f] = v.name+":"+f, n
	}
	body, err := json.Marshal(map[string]any{"features": names, "entities": map[string]any{v.key: keys}})
	if err != nil {
		return nil, fmt.Errorf("encode a question: %w", err)
	}
	var a answer
	if err := s.do(ctx, doing, "get-online-features", body, &a); err != nil {
		return nil, err
	}
	rows := make([]row, len(keys))
	for n := range rows {
		rows[n] = row{key: keys[n], values: make([]json.RawMessage, len(features))}
	}
	told := 0
	for n, name := range a.Metadata.Names {
		if f, asked := place[name]; asked && n < len(a.Results) {
			told++
			err = a.fill(rows, n, f)
		}
	}
	if err == nil && told < len(features) {
		err = fmt.Errorf("it tells %d features of %d", told, len(features))
	}
	if err != nil {
		return nil, stream.Errorf(stream.Transient, "feast: "+doing, "the answer is not what a feature server sends: %w", err)
	}
	return rows, nil
}

// fill takes the values of one result into the rows.
func (a answer) fill(rows []row, result, feature int) error {
	of := a.Results[result]
	if len(of.Values) != len(rows) || len(of.At) != len(rows) {
		return fmt.Errorf("it tells %d values and %d times of %d rows", len(of.Values), len(of.At), len(rows))
	}
	for n := range rows {
		at, err := time.Parse(time.RFC3339Nano, of.At[n])
		if err != nil {
			return err
		}
		rows[n].at = at.UnixMicro()
		if string(of.Values[n]) != "null" {
			rows[n].values[feature] = of.Values[n]
		}
	}
	return nil
}

// names are those of the features, in order.
func (v *view) names() []string {
	names := make([]string, len(v.features))
	for n, f := range v.features {
		names[n] = f.name
	}
	return names
}

// python is what a feature repository declares the view by.
func (v *view) python() string {
	var fields strings.Builder
	for _, f := range append([]feature{{v.key, v.keyType}}, v.features...) {
		fmt.Fprintf(&fields, "Field(name=%s, dtype=%s), ", quoted(f.name), f.of)
	}
	kind := "STRING"
	if v.keyType == typeInt {
		kind = "INT64"
	}
	return fmt.Sprintf("FeatureView(name=%s, entities=[Entity(name=%s, join_keys=[%s], value_type=ValueType.%s)], schema=[%s], "+
		"source=PushSource(name=%s, batch_source=FileSource(name=%s, path=%s, timestamp_field=%s)))",
		quoted(v.name), quoted(v.name+" key"), quoted(v.key), kind, strings.TrimSuffix(fields.String(), ", "),
		quoted(v.name), quoted(v.name+" file"), quoted(v.name+".parquet"), quoted(timestampField))
}
