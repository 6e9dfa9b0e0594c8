package split

import (
	"github.com/freshet-dev/freshet/operators/internal/markdown"
	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// Markdown declares split.markdown: from a string of markdown, or a map with one such as the result of parse.markdown or
// one of its sections, to chunks. A string's front matter is text like any other: parse.markdown takes it off.
func Markdown() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "split.markdown",
		Version: 1,
		Doc: "Cuts markdown into chunks: at headings always; inside a section between blocks (paragraphs, lists, tables, " +
			"code), and inside a block that is too large between lines, sentences, words or characters.",
		Settings: settings(),
		Output: func(in stream.Type, s stream.Settings) (stream.Type, error) {
			return outputType("split.markdown", in, s)
		},
		New: func(s stream.Settings) (stream.Operator, error) {
			p, err := newSplitter("split.markdown", s, markdownSections)
			if err != nil {
				return nil, err
			}
			return single.Func(p.apply), nil
		},
	}
}

// markdownSections takes a heading and the first block under it for one, so that a heading is not left alone.
func markdownSections(text string) []section {
	read := markdown.Sections(text)
	out := make([]section, len(read))
	for i, s := range read {
		out[i] = section{heading: s.Title, path: s.Path, start: s.Start, end: s.End, blocks: []int{s.Start}}
		if len(s.Blocks) > 1 {
			out[i].blocks = append(out[i].blocks, s.Blocks[1:]...)
		}
	}
	return out
}
