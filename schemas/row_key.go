package schemas

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// RowKey returns the record key of a row: the JSON array [table, document, key], so that equal keys are equal rows and
// anyone can read them. The parts must be UTF-8.
func RowKey(id stream.RowID) []byte {
	b := make([]byte, 0, len(id.Table)+len(id.Document)+len(id.Key)+10)
	b = appendJSONText(append(b, '['), id.Table)
	b = appendJSONText(append(b, ','), id.Document)
	b = appendJSONText(append(b, ','), id.Key)
	return append(b, ']')
}

// ParseRowKey undoes RowKey.
func ParseRowKey(key []byte) (stream.RowID, error) {
	var parts []*string
	if err := json.Unmarshal(key, &parts); err != nil || len(parts) != 3 || parts[0] == nil || parts[1] == nil || parts[2] == nil {
		return stream.RowID{}, stream.Errorf(stream.Invalid, "read the key of a row record", "%w",
			errors.New("it is no JSON array of table, document and key"))
	}
	return stream.RowID{Table: *parts[0], Document: *parts[1], Key: *parts[2]}, nil
}

// appendJSONText writes s as a JSON string, always in the same way: only quotes, backslashes, control characters and the
// two line separators of JavaScript are escaped.
func appendJSONText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return appendEscaped(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendEscaped(b []byte, s string) []byte {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err) // a string can always be written
	}
	return append(b, bytes.TrimRight(text.Bytes(), "\n")...)
}
