package schemas

import (
	"errors"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/freshet-dev/freshet/stream"
)

// Named returns a decoder whose documents are named by a function of the record key, as an ID formula declares it. The
// function is given a map of the key's columns, or the text of a key that is no JSON object; what it returns as "" names
// no document.
func (d *Debezium) Named(by func(key stream.Value) (string, error)) *Debezium {
	named := NewDebezium(d.source, d.fields, stream.Settings{})
	named.missing, named.decimals, named.naming = d.missing, d.decimals, by
	return named
}

// nameOf is the document ID that the ID formula gives a key.
func (d *Debezium) nameOf(key []byte) (string, error) {
	v := stream.StringOf(string(key))
	switch {
	case object(key):
		if !gjson.ValidBytes(key) {
			return "", errors.New("the record key is malformed JSON")
		}
		var err error
		if v, err = natural(gjson.ParseBytes(key), nil, 0); err != nil {
			return "", err
		}
	case key[0] == '"' && gjson.ValidBytes(key):
		v = stream.StringOf(text(key))
	}
	name, err := d.naming(v)
	if err == nil && name == "" {
		err = ErrUnkeyed
	}
	return d.prefix + name, err
}

// document returns the document ID of a record key: "<source>/" and the key's text. The text of a key of one column is
// that column's text; of several, `a=1,b=2` in order of column name, with a backslash before any backslash, comma and
// equals sign of names and values. A null column reads `\N`. A key that is no JSON is taken as text.
func (d *Debezium) document(key []byte) (string, error) {
	if null(key) {
		return "", ErrUnkeyed
	}
	if !utf8.Valid(key) {
		return "", errors.New("the record key is no UTF-8 text; use Connect's JsonConverter or StringConverter for keys")
	}
	if object(key) {
		if _, payload, ok := unwrap(key); ok {
			key = payload
		}
	}
	if null(key) {
		return "", ErrUnkeyed
	}
	if d.naming != nil {
		return d.nameOf(key)
	}
	if object(key) {
		return d.columnsKey(key)
	}
	if key[0] == '"' && gjson.ValidBytes(key) {
		return d.prefix + text(key), nil
	}
	return d.prefix + string(key), nil
}

func (d *Debezium) columnsKey(key []byte) (string, error) {
	var first [1]keyColumn
	columns := first[:0]
	err := members(key, func(name, value []byte) { columns = append(columns, keyColumn{name, value}) })
	switch {
	case err != nil || !valid(columns):
		return "", errors.New("the record key is malformed JSON")
	case len(columns) == 0:
		return "", ErrUnkeyed
	case len(columns) == 1:
		return d.prefix + text(columns[0].value), nil
	}
	return d.prefix + compositeKey(columns), nil
}

type keyColumn struct{ name, value []byte }

func valid(columns []keyColumn) bool {
	for _, c := range columns {
		if !plain(c.value) && !gjson.ValidBytes(c.value) {
			return false
		}
	}
	return true
}

// plain reports whether raw is a whole number, or a string without escapes: what most keys are.
func plain(raw []byte) bool {
	if raw[0] == '"' {
		for _, b := range raw[1 : len(raw)-1] {
			if b < ' ' || b == '\\' {
				return false
			}
		}
		return true
	}
	for _, b := range raw {
		if b < '0' || b > '9' {
			return false
		}
	}
	return raw[0] != '0' || len(raw) == 1
}

// text is a key value's text: a string's content, anything else as it is written.
func text(raw []byte) string {
	switch {
	case string(raw) == "null":
		return `\N`
	case raw[0] != '"':
		return string(raw)
	case plain(raw):
		return string(raw[1 : len(raw)-1])
	}
	return gjson.ParseBytes(raw).String()
}

var keyEscapes = strings.NewReplacer(`\`, `\\`, `,`, `\,`, `=`, `\=`)

func compositeKey(columns []keyColumn) string {
	sort.Slice(columns, func(i, j int) bool { return string(columns[i].name) < string(columns[j].name) })
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(keyEscapes.Replace(string(c.name)))
		b.WriteByte('=')
		if null(c.value) {
			b.WriteString(`\N`)
			continue
		}
		b.WriteString(keyEscapes.Replace(text(c.value)))
	}
	return b.String()
}
