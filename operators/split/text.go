package split

import (
	"strings"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// Text declares split.text: from a string, or a map with one such as the result of parse.text, to chunks. The whole text
// is one section; its blocks are paragraphs, which blank lines separate.
func Text() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "split.text",
		Version: 1,
		Doc: "Cuts plain text into chunks: between paragraphs, and inside a paragraph that is too large between lines, " +
			"sentences, words or characters.",
		Settings: settings(),
		Output: func(in stream.Type, s stream.Settings) (stream.Type, error) {
			return outputType("split.text", in, s)
		},
		New: func(s stream.Settings) (stream.Operator, error) {
			p, err := newSplitter("split.text", s, textSection)
			if err != nil {
				return nil, err
			}
			return single.Func(p.apply), nil
		},
	}
}

func textSection(text string) []section {
	start := len(text) - len(strings.TrimPrefix(text, markdown.BOM))
	s := section{start: start, end: len(text), blocks: []int{start}}
	at, blank := start, false
	for line := range strings.Lines(text[start:]) {
		empty := strings.TrimSpace(line) == ""
		if blank && !empty && at > start {
			s.blocks = append(s.blocks, at)
		}
		at, blank = at+len(line), empty
	}
	return []section{s}
}
