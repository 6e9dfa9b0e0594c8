package schemas

import (
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// Header names of Freshet's own records.
const (
	HeaderFormat   = "freshet.format"   // version of the record's format: "1"
	HeaderTable    = "freshet.table"    // row records: the table
	HeaderDocument = "freshet.document" // row records: the document ID
	HeaderUnit     = "freshet.unit"     // row records: "i/n", the i-th (from 1) of the n records of one change
	HeaderMark     = "freshet.mark"     // control marks: the mark's name
	HeaderOp       = "freshet.op"       // file records: put, delete or refused
	HeaderPath     = "freshet.path"     // file records: the path below the root, with slashes
	HeaderSize     = "freshet.size"     // file records: bytes
	HeaderModified = "freshet.modified" // file records: modification time, ns since 1970
	HeaderReason   = "freshet.reason"   // refused file records: why
	HeaderIntake   = "freshet.intake"   // intake records: where the record comes from
)

// format1 is the only version written so far.
const format1 = "1"

// header returns the last value of a header, as text.
func header(r *stream.Record, name string) (string, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == name {
			return string(r.Headers[i].Value), true
		}
	}
	return "", false
}

func isFormat1(r *stream.Record) bool {
	f, ok := header(r, HeaderFormat)
	return ok && f == format1
}

func errFormat(r *stream.Record) error {
	f, _ := header(r, HeaderFormat)
	return fmt.Errorf("header %s is %q; this version of Freshet reads format %s", HeaderFormat, f, format1)
}
