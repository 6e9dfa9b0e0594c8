package markdown

import (
	"strings"

	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/util"
)

// plain returns a heading's text without markup, its white space collapsed.
func plain(n ast.Node, source []byte) string {
	var b strings.Builder
	writePlain(&b, n, source)
	return strings.Join(strings.Fields(b.String()), " ")
}

func writePlain(b *strings.Builder, n ast.Node, source []byte) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			b.Write(visible(c, source))
			if c.SoftLineBreak() || c.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(c.Value)
		case *ast.AutoLink:
			b.Write(c.Label(source))
		default:
			writePlain(b, c, source)
		}
	}
}

// visible resolves escapes and entities, which inside code are left as they are.
func visible(t *ast.Text, source []byte) []byte {
	written := t.Segment.Value(source)
	if t.IsRaw() || t.Parent().Kind() == ast.KindCodeSpan {
		return written
	}
	return util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(written)))
}

// headingEnd returns where the line after a heading begins: after its own line, or after the underline.
func headingEnd(source []byte, h *ast.Heading) int {
	if isATX(source[h.Pos():], h.Level) {
		return lineEnd(source, h.Pos())
	}
	end := h.Pos()
	if n := h.Lines().Len(); n > 0 {
		end = lineEnd(source, h.Lines().At(n-1).Start)
	}
	return lineEnd(source, end)
}

// isATX reports whether a heading is written with number signs. Text that is underlined can begin with one too, but
// then something other than a blank follows it.
func isATX(line []byte, level int) bool {
	for i := range level {
		if i >= len(line) || line[i] != '#' {
			return false
		}
	}
	return level == len(line) || strings.IndexByte(" \t\r\n", line[level]) >= 0
}

func lineStart(source []byte, pos int) int {
	for pos > 0 && source[pos-1] != '\n' {
		pos--
	}
	return pos
}

func lineEnd(source []byte, pos int) int {
	for pos < len(source) {
		pos++
		if source[pos-1] == '\n' {
			break
		}
	}
	return pos
}
