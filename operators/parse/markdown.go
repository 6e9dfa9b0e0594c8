package parse

import (
	"fmt"
	"strings"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// Markdown declares parse.markdown: from a string to its front matter, title and sections. The output's text and the
// texts of sections are cut out of the content unchanged; offset is where text begins in it.
func Markdown() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "parse.markdown",
		Version: 1,
		Doc: "Reads markdown (CommonMark): the YAML front matter, the title and the sections. " +
			"The title is the front matter's, else the first heading of level 1, else empty.",
		Output: func(in stream.Type, _ stream.Settings) (stream.Type, error) {
			return markdownType, accept("parse.markdown", in)
		},
		New: func(stream.Settings) (stream.Operator, error) { return single.Func(readMarkdown), nil },
	}
}

func accept(op string, in stream.Type) error {
	if single.AcceptsText(in) {
		return nil
	}
	return fmt.Errorf("%s takes a string, not %s", op, in)
}

var spanType = stream.MapType(
	stream.Field{Name: "end", Type: stream.TypeInt},
	stream.Field{Name: "start", Type: stream.TypeInt})

var sectionType = stream.MapType(
	stream.Field{Name: "id", Type: stream.TypeString},
	stream.Field{Name: "index", Type: stream.TypeInt},
	stream.Field{Name: "level", Type: stream.TypeInt},
	stream.Field{Name: "path", Type: stream.ListType(stream.TypeString)},
	stream.Field{Name: "span", Type: spanType},
	stream.Field{Name: "text", Type: stream.TypeString},
	stream.Field{Name: "title", Type: stream.TypeString})

var markdownType = stream.MapType(
	stream.Field{Name: "meta", Type: stream.MapType()},
	stream.Field{Name: "offset", Type: stream.TypeInt},
	stream.Field{Name: "sections", Type: stream.ListType(sectionType)},
	stream.Field{Name: "text", Type: stream.TypeString},
	stream.Field{Name: "title", Type: stream.TypeString})

func readMarkdown(in stream.Value) (stream.Value, error) {
	source, err := single.Text("parse.markdown", in)
	if err != nil {
		return stream.Value{}, err
	}
	meta, offset, err := markdown.FrontMatter(source)
	if err != nil {
		return stream.Value{}, err
	}
	if offset == 0 && strings.HasPrefix(source, markdown.BOM) {
		offset = len(markdown.BOM)
	}
	text := source[offset:]
	sections := markdown.Sections(text)
	return stream.MapOf(
		stream.Entry{Key: "meta", Value: meta},
		stream.Entry{Key: "offset", Value: stream.IntOf(int64(offset))},
		stream.Entry{Key: "sections", Value: sectionValues(text, offset, sections)},
		stream.Entry{Key: "text", Value: stream.StringOf(text)},
		stream.Entry{Key: "title", Value: stream.StringOf(title(meta, sections))},
	), nil
}

func title(meta stream.Value, sections []markdown.Section) string {
	switch t := meta.Field("title"); t.Kind() {
	case stream.Null:
	case stream.String:
		return t.Str()
	case stream.Bool, stream.Int, stream.Double, stream.Decimal:
		return t.String()
	}
	for _, s := range sections {
		if s.Level == 1 {
			return s.Title
		}
	}
	return ""
}
