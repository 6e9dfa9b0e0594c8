// Package split cuts texts into chunks of a bounded number of tokens.
//
// It upholds: a chunk's text is exactly the bytes that its span names; without overlap the chunks cover every byte that
// isn't blank exactly once, in order; no chunk has more than max_tokens tokens; a chunk never crosses a section; where a
// section is cut depends on that section alone, and on what lies near the cut rather than on what lies before it.
package split
