package split

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
)

// grain says how fine a cut is; a coarser one is preferred.
type grain uint8

const (
	block grain = iota
	line
	sentence
	word
	character
)

// atom is a part of a text that is not cut further. Atoms are contiguous.
type atom struct {
	start, end int
	tokens     int
	before     grain // what the cut before the atom is
}

// atomiser cuts blocks of one text into atoms of at most limit tokens.
type atomiser struct {
	source string
	count  counter
	limit  int // of a block; what a larger one is cut into has at most half of it, so that parts fill chunks well
	atoms  []atom
}

func (a *atomiser) block(start, end int) error {
	n, err := a.tokens(start, end)
	if err != nil {
		return err
	}
	if n > a.limit {
		return a.cut(start, end, block, line)
	}
	a.atoms = append(a.atoms, atom{start, end, n, block})
	return nil
}

// cut cuts a part at the given grain, and what is still too large at the next finer one. before is the cut before it.
func (a *atomiser) cut(start, end int, before, by grain) error {
	for start < end {
		next := start + a.first(a.source[start:end], by)
		n, err := a.tokens(start, next)
		if err != nil {
			return err
		}
		switch {
		case n > a.limit/2 && by < character:
			err = a.cut(start, next, before, by+1)
		default:
			a.atoms = append(a.atoms, atom{start, next, n, before})
		}
		if err != nil {
			return err
		}
		start, before = next, by
	}
	return nil
}

// tokens counts what would be left of the part as a chunk of its own.
func (a *atomiser) tokens(start, end int) (int, error) {
	start, end = markdown.Trim(a.source, start, end)
	return a.count(a.source[start:end])
}

// first returns the length of the first part of text at the given grain; 1 at least.
func (a *atomiser) first(text string, by grain) int {
	switch by {
	case line:
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			return i + 1
		}
		return len(text)
	case sentence:
		return firstSentence(text)
	case word:
		return firstWord(text)
	}
	return firstCharacters(text, max(utf8.UTFMax, a.limit/4))
}

// firstSentence ends behind a full stop, question or exclamation mark that white space follows, or behind a CJK one.
func firstSentence(text string) int {
	for i, r := range text {
		end := i + utf8.RuneLen(r)
		switch r {
		case '.', '!', '?', ':', ';':
			if after, _ := utf8.DecodeRuneInString(text[end:]); unicode.IsSpace(after) {
				return end
			}
		case '。', '！', '？', '；':
			return end
		}
	}
	return len(text)
}

// firstWord is leading white space with the word after it: so tokenizers count words.
func firstWord(text string) int {
	start := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsSpace(r) })
	if start < 0 {
		return len(text)
	}
	if n := strings.IndexFunc(text[start:], unicode.IsSpace); n >= 0 {
		return start + n
	}
	return len(text)
}

// firstCharacters is as many whole characters as fit into size bytes. A token has a byte at least, so that they have at
// most size tokens.
func firstCharacters(text string, size int) int {
	end := 0
	for end < len(text) {
		_, n := utf8.DecodeRuneInString(text[end:])
		if end+n > size {
			break
		}
		end += n
	}
	return end
}
