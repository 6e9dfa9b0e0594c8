package markdown

import (
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/freshet-dev/freshet/stream"
)

// maxFrontMatter bounds the bytes of a front matter: it is metadata, and reading YAML is slow.
const maxFrontMatter = 64 << 10

// FrontMatter reads the YAML mapping between a first line of --- and the next line of --- or .... It returns the mapping
// (an empty map when there is none) and where the text after it begins. Broken YAML is an Invalid error; well-formed YAML
// that is no mapping is taken for text between two thematic breaks.
func FrontMatter(source string) (meta stream.Value, text int, err error) {
	none := stream.MapOf()
	start, end, text := fence(source)
	if text == 0 {
		return none, 0, nil
	}
	if end-start > maxFrontMatter {
		return none, 0, invalid("it has %d bytes, at most %d are read", end-start, maxFrontMatter)
	}
	node, err := parseYAML(source[start:end])
	if err != nil {
		return none, 0, err
	}
	switch v := node.(type) {
	case nil:
		return none, text, nil
	case yaml.MapSlice:
		meta, err = mapping(v, 0)
		return meta, text, err
	}
	return none, 0, nil
}

// fence returns the bounds of the lines between the two fences, and where the text after them begins; zeros when the
// source begins with none.
func fence(source string) (start, end, text int) {
	bom := len(source) - len(strings.TrimPrefix(source, BOM))
	start = bom + nextLine(source[bom:])
	if !isFence(source[bom:start], "---") {
		return 0, 0, 0
	}
	for at := start; at < len(source); {
		next := at + nextLine(source[at:])
		if isFence(source[at:next], "---", "...") {
			return start, at, next
		}
		at = next
	}
	return 0, 0, 0
}

func nextLine(s string) int {
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		return i + 1
	}
	return len(s)
}

func isFence(line string, fences ...string) bool {
	line = strings.TrimRight(line, " \t\r\n")
	for _, f := range fences {
		if line == f {
			return true
		}
	}
	return false
}
