// Package markdown finds the sections and blocks of a markdown text, and the front matter before it.
//
// It upholds: positions are byte offsets into the text as given, whatever its line endings; sections are contiguous and
// cover the text from its first byte (after a byte order mark) to its last; what CommonMark does not take for a heading
// of the document (in a code fence, an HTML comment, a list, a quote) starts no section.
package markdown

import (
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	gtext "github.com/yuin/goldmark/text"
)

// BOM is the byte order mark that some editors write before a text.
const BOM = "\ufeff"

// Section is a heading with what follows it, up to the next heading of any level. The text before the first heading is a
// section of level 0 without a title.
type Section struct {
	Title  string   // the heading as plain text
	Path   []string // titles from the outermost heading to this one; not to be changed
	Level  int      // 1 to 6; 0 before the first heading
	Start  int      // where the heading's line begins
	Text   int      // where the text after the heading begins
	End    int      // where the next section begins, or the text ends
	Blocks []int    // where each block of the text begins: paragraph, list, quote, code, table, HTML
}

var reader = goldmark.New(goldmark.WithParserOptions(parser.WithHeadingAttribute())).Parser()

// Sections reads the sections of a markdown text. A text of blanks before the first heading is no section.
func Sections(source string) []Section {
	text := strings.TrimPrefix(source, BOM)
	base := len(source) - len(text)
	s := scan{source: []byte(text), base: base, end: base}
	s.open(Section{Start: s.base, Text: s.base})
	doc := reader.Parse(gtext.NewReader(s.source))
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		s.block(n)
	}
	s.close(len(source))
	first := s.sections[0]
	if first.Level == 0 && strings.TrimSpace(source[first.Start:first.End]) == "" {
		return s.sections[1:]
	}
	return s.sections
}

type scan struct {
	source   []byte // after the byte order mark
	base     int    // length of the byte order mark
	end      int    // last position taken, counted with the mark
	sections []Section
	levels   []int // of the headings on the last section's path
}

func (s *scan) block(n ast.Node) {
	if n.Pos() < 0 {
		return
	}
	start := s.base + lineStart(s.source, n.Pos())
	if start < s.end || start == s.end && len(s.last().Blocks) > 0 {
		return // it begins where the block before it did
	}
	s.end = start
	if h, ok := n.(*ast.Heading); ok {
		s.heading(h, start)
		return
	}
	s.last().Blocks = append(s.last().Blocks, start)
}

func (s *scan) heading(h *ast.Heading, start int) {
	s.close(start)
	title := plain(h, s.source)
	path := s.path(h.Level, title)
	s.end = s.base + headingEnd(s.source, h)
	s.open(Section{Title: title, Path: path, Level: h.Level, Start: start, Text: s.end})
}

func (s *scan) last() *Section { return &s.sections[len(s.sections)-1] }

func (s *scan) open(next Section) { s.sections = append(s.sections, next) }

func (s *scan) close(end int) { s.last().End = end }

// path returns the titles down to this heading; a level that was skipped leaves no gap.
func (s *scan) path(level int, title string) []string {
	depth := len(s.levels)
	for depth > 0 && s.levels[depth-1] >= level {
		depth--
	}
	s.levels = append(s.levels[:depth], level)
	return append(slices.Clone(s.last().Path[:depth]), title)
}
