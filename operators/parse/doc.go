// Package parse turns the content of documents into their parts.
//
// It upholds: every position is a byte offset into the content as given, and the text of a part is exactly the bytes that
// its span names.
package parse
