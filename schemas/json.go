package schemas

import (
	"bytes"
	"errors"
)

var errJSON = errors.New("malformed JSON")

// members calls each for every member of the object b, in order: the key between its quotes, escapes left, and the raw
// value. It finds where values end, and no more: values are validated by whoever decodes them.
func members(b []byte, each func(key, value []byte)) error {
	i := space(b, 0)
	if at(b, i) != '{' {
		return errJSON
	}
	i = space(b, i+1)
	if at(b, i) == '}' {
		return onlySpace(b, i+1)
	}
	for {
		end := stringEnd(b, i)
		if end < 0 {
			return errJSON
		}
		key := b[i+1 : end-1]
		if i = space(b, end); at(b, i) != ':' {
			return errJSON
		}
		i = space(b, i+1)
		if end = valueEnd(b, i); end < 0 {
			return errJSON
		}
		each(key, b[i:end])
		i = space(b, end)
		switch at(b, i) {
		case ',':
			i = space(b, i+1)
		case '}':
			return onlySpace(b, i+1)
		default:
			return errJSON
		}
	}
}

// at returns b[i], and 0 past the end.
func at(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func onlySpace(b []byte, i int) error {
	if space(b, i) != len(b) {
		return errJSON
	}
	return nil
}

// stringEnd returns the index after the string that starts at i, -1 when none does or it doesn't end.
func stringEnd(b []byte, i int) int {
	if at(b, i) != '"' {
		return -1
	}
	for j := i + 1; ; j++ {
		k := bytes.IndexByte(b[j:], '"')
		if k < 0 {
			return -1
		}
		j += k
		start := j
		for b[start-1] == '\\' {
			start--
		}
		if (j-start)%2 == 0 {
			return j + 1
		}
	}
}

// valueEnd returns the index after the value that starts at i, -1 when it doesn't end.
func valueEnd(b []byte, i int) int {
	switch at(b, i) {
	case '"':
		return stringEnd(b, i)
	case '{', '[':
		return compoundEnd(b, i)
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// structural marks the bytes that compoundEnd has to look at.
var structural = [256]bool{'"': true, '{': true, '[': true, '}': true, ']': true}

func compoundEnd(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		if !structural[b[i]] {
			i++
			continue
		}
		switch b[i] {
		case '"':
			if i = stringEnd(b, i); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		default:
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
	return -1
}

// null reports whether raw is absent or JSON's null.
func null(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// object reports whether raw starts as a JSON object.
func object(raw []byte) bool { return at(raw, 0) == '{' }

// unwrap returns the schema and the payload of Connect's {"schema": ..., "payload": ...}; ok is false for anything else.
func unwrap(b []byte) (schema, payload []byte, ok bool) {
	if k := firstKey(b); string(k) != "schema" && string(k) != "payload" {
		return nil, nil, false // most values are not wrapped, and need not be read twice to know it
	}
	count := 0
	err := members(b, func(key, value []byte) {
		count++
		switch string(key) {
		case "schema":
			schema = value
		case "payload":
			payload = value
		}
	})
	ok = err == nil && count == 2 && payload != nil && (object(schema) || string(schema) == "null")
	return schema, payload, ok
}

// firstKey is the first key of the object b, escapes left; empty when b is none.
func firstKey(b []byte) []byte {
	i := space(b, 0)
	if at(b, i) != '{' {
		return nil
	}
	i = space(b, i+1)
	if end := stringEnd(b, i); end > 0 {
		return b[i+1 : end-1]
	}
	return nil
}
