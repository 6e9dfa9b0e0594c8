package split

import (
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

// idDigits is how many hexadecimal digits of a text's fingerprint make a chunk's ID: 64 bits.
const idDigits = 16

var chunksType = stream.ListType(stream.MapType(
	stream.Field{Name: "heading", Type: stream.TypeString},
	stream.Field{Name: "id", Type: stream.TypeString},
	stream.Field{Name: "index", Type: stream.TypeInt},
	stream.Field{Name: "path", Type: stream.ListType(stream.TypeString)},
	stream.Field{Name: "span", Type: stream.MapType(
		stream.Field{Name: "end", Type: stream.TypeInt},
		stream.Field{Name: "start", Type: stream.TypeInt})},
	stream.Field{Name: "text", Type: stream.TypeString},
	stream.Field{Name: "tokens", Type: stream.TypeInt}))

// chunker gives pieces their IDs and makes values of them.
type chunker struct {
	source string
	offset int64
	ids    map[string]int // chunks of equal text so far
	out    []stream.Value
}

func (c *chunker) add(s section, pieces []piece) {
	path := make([]stream.Value, len(s.path))
	for i, title := range s.path {
		path[i] = stream.StringOf(title)
	}
	for _, p := range pieces {
		text := c.source[p.start:p.end]
		c.out = append(c.out, stream.MapOf(
			stream.Entry{Key: "heading", Value: stream.StringOf(s.heading)},
			stream.Entry{Key: "id", Value: stream.StringOf(c.id(text))},
			stream.Entry{Key: "index", Value: stream.IntOf(int64(len(c.out)))},
			stream.Entry{Key: "path", Value: stream.ListOf(path...)},
			stream.Entry{Key: "span", Value: c.span(p)},
			stream.Entry{Key: "text", Value: stream.StringOf(text)},
			stream.Entry{Key: "tokens", Value: stream.IntOf(int64(p.tokens))},
		))
	}
}

func (c *chunker) span(p piece) stream.Value {
	return stream.MapOf(
		stream.Entry{Key: "end", Value: stream.IntOf(c.offset + int64(p.end))},
		stream.Entry{Key: "start", Value: stream.IntOf(c.offset + int64(p.start))})
}

// id is made of the text and an ordinal among equal texts, so that an edit does not rename what follows it.
func (c *chunker) id(text string) string {
	id := stream.FingerprintBytes([]byte(text)).String()[:idDigits]
	c.ids[id]++
	if n := c.ids[id]; n > 1 {
		return id + "-" + strconv.Itoa(n)
	}
	return id
}
