package markdown

import "strings"

const blanks = " \t\r\n\v\f"

// Trim narrows a span of source: white space after it and blank lines before it go. The indentation of its first line
// stays, because it can mean something (code), unless the span begins inside a line. Of a blank span it leaves nothing.
func Trim(source string, start, end int) (int, int) {
	end = start + len(strings.TrimRight(source[start:end], blanks))
	lead := end - start - len(strings.TrimLeft(source[start:end], blanks))
	if start > 0 && source[start-1] != '\n' {
		return start + lead, end
	}
	return start + strings.LastIndexByte(source[start:start+lead], '\n') + 1, end
}
