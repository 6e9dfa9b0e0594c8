package split

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
)

// overlap lets every piece but the first begin earlier by whole words of the piece before it, of at most most tokens.
func (p *packer) overlap(pieces []piece, most int) ([]piece, error) {
	if most == 0 {
		return pieces, nil
	}
	out := append([]piece(nil), pieces...)
	for i := 1; i < len(pieces); i++ {
		start, err := p.earlier(pieces[i-1].start, pieces[i].start, most)
		if err != nil {
			return nil, err
		}
		for ; ; start = p.laterWord(start, pieces[i].start) {
			from, end := markdown.Trim(p.source, start, pieces[i].end)
			n, err := p.count(p.source[from:end])
			if err != nil {
				return nil, err
			}
			if n <= p.most+most || start == pieces[i].start {
				out[i] = piece{from, end, n}
				break
			}
		}
	}
	return out, nil
}

// earlier returns the earliest start of a word in [floor, start) from which there are at most most tokens to start.
func (p *packer) earlier(floor, start, most int) (int, error) {
	best := start
	for sum := 0; ; {
		at := lastWord(p.source[floor:best]) + floor
		if at == best {
			return best, nil
		}
		n, err := p.count(p.source[at:best])
		if err != nil {
			return 0, err
		}
		if sum += n; sum > most {
			return best, nil
		}
		best = at
	}
}

// laterWord returns the start of the word after the one at start, at most end.
func (p *packer) laterWord(start, end int) int {
	rest := p.source[start+firstWord(p.source[start:end]) : end]
	return end - len(strings.TrimLeftFunc(rest, unicode.IsSpace))
}

// lastWord returns where the last word of text begins; len(text) when there is none.
func lastWord(text string) int {
	trimmed := strings.TrimRightFunc(text, unicode.IsSpace)
	if trimmed == "" {
		return len(text)
	}
	i := strings.LastIndexFunc(trimmed, unicode.IsSpace)
	if i < 0 {
		return 0
	}
	_, n := utf8.DecodeRuneInString(trimmed[i:])
	return i + n
}
