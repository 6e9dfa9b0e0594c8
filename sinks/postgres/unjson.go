package postgres

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// parseJSON undoes appendJSON. The declared type tells what a string or number stands for; where it says nothing, a
// number with point is a double, one without an int.
func parseJSON(text string, t stream.Type) (stream.Value, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	return readJSON(d, t)
}

func readJSON(d *json.Decoder, t stream.Type) (stream.Value, error) {
	token, err := d.Token()
	if err != nil {
		return stream.Value{}, err
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '{' {
			return readMap(d, t)
		}
		return readList(d, t)
	case bool:
		return stream.BoolOf(token), nil
	case json.Number:
		return numberOf(token.String(), t)
	case string:
		return textOf(token, t)
	}
	return stream.Value{}, nil
}

func readList(d *json.Decoder, t stream.Type) (stream.Value, error) {
	elem := stream.TypeDynamic
	if t.Kind == stream.List && t.Elem != nil {
		elem = *t.Elem
	}
	if t.Kind == stream.Vector {
		elem = stream.TypeDouble
	}
	items := []stream.Value{}
	for d.More() {
		v, err := readJSON(d, elem)
		if err != nil {
			return v, err
		}
		items = append(items, v)
	}
	if t.Kind == stream.Vector {
		return vectorOf(items), endJSON(d)
	}
	return stream.ListOf(items...), endJSON(d)
}

func vectorOf(items []stream.Value) stream.Value {
	floats := make([]float32, len(items))
	for i, v := range items {
		floats[i] = float32(v.Double())
	}
	return stream.VectorOf(floats)
}

func readMap(d *json.Decoder, t stream.Type) (stream.Value, error) {
	var entries []stream.Entry
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return stream.Value{}, err
		}
		name, _ := key.(string)
		field, known := t.FieldType(name)
		if !known {
			field = stream.TypeDynamic
		}
		v, err := readJSON(d, field)
		if err != nil {
			return v, err
		}
		entries = append(entries, stream.Entry{Key: name, Value: v})
	}
	return stream.MapOf(entries...), endJSON(d)
}

// endJSON reads the closing bracket.
func endJSON(d *json.Decoder) error {
	_, err := d.Token()
	return err
}

func numberOf(text string, t stream.Type) (stream.Value, error) {
	if t.Kind == stream.Decimal {
		if v, ok := stream.ParseDecimal(text); ok {
			return v, nil
		}
		return stream.Value{}, fmt.Errorf("read %q as a decimal", text)
	}
	if i, err := strconv.ParseInt(text, 10, 64); err == nil && t.Kind != stream.Double {
		return stream.IntOf(i), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	return stream.DoubleOf(f), err
}

func textOf(text string, t stream.Type) (stream.Value, error) {
	switch t.Kind {
	case stream.Bytes:
		b, err := base64.StdEncoding.DecodeString(text)
		return stream.BytesOf(b), err
	case stream.Timestamp:
		at, err := time.Parse(time.RFC3339Nano, text)
		return stream.TimestampOf(at), err
	case stream.Double:
		if f, special := specialDoubles[text]; special {
			return stream.DoubleOf(f), nil
		}
	}
	return stream.StringOf(text), nil
}
