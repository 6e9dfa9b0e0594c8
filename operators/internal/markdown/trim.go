package markdown

import "strings"

const blanks = " \t\r\n\v\f"

// Trim narrows a span of source: blank lines before it and white space after it go; the indentation of its first line
// stays, because it can mean something (code). Of a blank span it leaves nothing.
func Trim(source string, start, end int) (int, int) {
	end = start + len(strings.TrimRight(source[start:end], blanks))
	lead := end - start - len(strings.TrimLeft(source[start:end], blanks))
	return start + strings.LastIndexByte(source[start:start+lead], '\n') + 1, end
}
