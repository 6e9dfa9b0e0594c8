package parse

import (
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
	"github.com/freshet-dev/freshet/stream"
)

// idDigits is how many hexadecimal digits of a fingerprint make an ID: 64 bits.
const idDigits = 16

func sectionValues(text string, offset int, sections []markdown.Section) stream.Value {
	out := make([]stream.Value, len(sections))
	ids := sectionIDs{}
	for i, s := range sections {
		start, end := markdown.Trim(text, s.Text, s.End)
		out[i] = stream.MapOf(
			stream.Entry{Key: "id", Value: stream.StringOf(ids.of(s.Path))},
			stream.Entry{Key: "index", Value: stream.IntOf(int64(i))},
			stream.Entry{Key: "level", Value: stream.IntOf(int64(s.Level))},
			stream.Entry{Key: "path", Value: list(s.Path)},
			stream.Entry{Key: "span", Value: span(offset+start, offset+end)},
			stream.Entry{Key: "text", Value: stream.StringOf(text[start:end])},
			stream.Entry{Key: "title", Value: stream.StringOf(s.Title)},
		)
	}
	return stream.ListOf(out...)
}

// sectionIDs counts the sections of equal paths. The ID is made of the path, not of the text, so that an edited section
// is still the same one.
type sectionIDs map[string]int

func (ids sectionIDs) of(path []string) string {
	id := stream.FingerprintBytes([]byte(strings.Join(path, "\x00"))).String()[:idDigits]
	ids[id]++
	if n := ids[id]; n > 1 {
		return id + "-" + strconv.Itoa(n)
	}
	return id
}

func span(start, end int) stream.Value {
	return stream.MapOf(
		stream.Entry{Key: "end", Value: stream.IntOf(int64(end))},
		stream.Entry{Key: "start", Value: stream.IntOf(int64(start))})
}

func list(texts []string) stream.Value {
	out := make([]stream.Value, len(texts))
	for i, t := range texts {
		out[i] = stream.StringOf(t)
	}
	return stream.ListOf(out...)
}
