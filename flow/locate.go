package flow

import "unicode"

// locate maps a position within a scalar's text (line and column from 1, as formula faults have it) to the file, by
// walking the text along the YAML that it was read from: quotes, escapes, folded lines and indentation are stepped over.
func (t *tree) locate(line, column int) place {
	at, ok := t.walk(line, column)
	if !ok {
		return t.at
	}
	return at
}

func (t *tree) walk(line, column int) (place, bool) {
	p := t.begin
	l, c := 1, 1
	for _, want := range t.text {
		found, ok := t.source.seek(p, want)
		if !ok {
			return place{}, false
		}
		if l == line && c >= column {
			return found, true
		}
		p = found
		p.column++
		if c++; want == '\n' {
			l, c = l+1, 1
		}
	}
	return p, l == line && c >= column
}

// seek finds the next occurrence of a character of a scalar. Blanks may stand for a folded line or an escape; whatever
// else lies between (a doubled quote, a backslash, indentation) is stepped over, within the same line and the next two.
func (s *source) seek(p place, want rune) (place, bool) {
	if unicode.IsSpace(want) {
		return s.seekBlank(p), true
	}
	for last := min(p.line+2, len(s.lines)); p.line <= last; p.line, p.column = p.line+1, 1 {
		line := s.lines[p.line-1]
		for ; p.column <= len(line); p.column++ {
			if line[p.column-1] == want {
				return p, true
			}
		}
	}
	return p, false
}

func (s *source) seekBlank(p place) place {
	if p.line <= len(s.lines) && p.column < len(s.lines[p.line-1]) && s.lines[p.line-1][p.column-1] == '\\' {
		p.column++ // the letter of the escape
	}
	return p
}
