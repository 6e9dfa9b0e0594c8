package schemas

import (
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

// MarkGenerationPass is the mark that ends the first full pass of a generation over a partition: rows of older
// generations that were not written again are to be swept.
const MarkGenerationPass = "generation-pass"

// EncodeMark returns a control record of the rows topic. Its key starts with a zero byte, which no row key does; the
// latest mark of a name survives compaction.
func EncodeMark(name string, generation int64) stream.Record {
	return stream.Record{Key: append([]byte{0}, name...), Value: strconv.AppendInt(nil, generation, 10), Headers: []stream.Header{
		{Key: HeaderFormat, Value: []byte(format1)}, {Key: HeaderMark, Value: []byte(name)}}}
}

// DecodeMark reads a mark; ok is false for any other record.
func DecodeMark(r *stream.Record) (name string, generation int64, ok bool) {
	name, ok = header(r, HeaderMark)
	if !ok || len(r.Key) == 0 || r.Key[0] != 0 {
		return "", 0, false
	}
	generation, err := strconv.ParseInt(string(r.Value), 10, 64)
	return name, generation, err == nil
}
