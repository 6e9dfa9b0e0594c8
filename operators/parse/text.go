package parse

import (
	"strings"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// Text declares parse.text: from a string to its text and its title, the first line that isn't blank.
func Text() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "parse.text",
		Version: 1,
		Doc:     "Reads plain text: the text without a byte order mark, and its title, the first line that isn't blank.",
		Output: func(in stream.Type, _ stream.Settings) (stream.Type, error) {
			return textType, accept("parse.text", in)
		},
		New: func(stream.Settings) (stream.Operator, error) { return single.Func(readText), nil },
	}
}

var textType = stream.MapType(
	stream.Field{Name: "offset", Type: stream.TypeInt},
	stream.Field{Name: "text", Type: stream.TypeString},
	stream.Field{Name: "title", Type: stream.TypeString})

func readText(in stream.Value) (stream.Value, error) {
	source, err := single.Text("parse.text", in)
	if err != nil {
		return stream.Value{}, err
	}
	text := strings.TrimPrefix(source, markdown.BOM)
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return stream.MapOf(
		stream.Entry{Key: "offset", Value: stream.IntOf(int64(len(source) - len(text)))},
		stream.Entry{Key: "text", Value: stream.StringOf(text)},
		stream.Entry{Key: "title", Value: stream.StringOf(strings.TrimSpace(first))},
	), nil
}
