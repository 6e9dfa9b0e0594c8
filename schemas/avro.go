package schemas

import (
	"encoding/binary"
	"errors"
	"math"
)

// The primitives of Avro's binary encoding. Rows are written and read without going through maps of boxed values, which
// costs several microseconds a row; tests hold both directions against an Avro library.

var errAvro = errors.New("malformed Avro")

func appendLong(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

func appendText(b []byte, s string) []byte { return append(appendLong(b, int64(len(s))), s...) }

func appendDouble(b []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
}

// avroReader reads primitives until the first error, after which everything reads as zero.
type avroReader struct {
	b   []byte
	err error
}

func (r *avroReader) fail() {
	r.err, r.b = errAvro, nil
}

func (r *avroReader) long() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// bytes returns the next length-prefixed bytes; they alias the input.
func (r *avroReader) bytes() []byte {
	n := r.long()
	if n < 0 || n > int64(len(r.b)) {
		r.fail()
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *avroReader) text() string { return string(r.bytes()) }

func (r *avroReader) double() float64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	f := math.Float64frombits(binary.LittleEndian.Uint64(r.b))
	r.b = r.b[8:]
	return f
}

func (r *avroReader) boolean() bool {
	if len(r.b) == 0 || r.b[0] > 1 {
		r.fail()
		return false
	}
	b := r.b[0] == 1
	r.b = r.b[1:]
	return b
}

// blocks calls each for every item of an array or map.
func (r *avroReader) blocks(each func()) {
	for r.err == nil {
		n := r.long()
		if n == 0 {
			return
		}
		if n < 0 { // the block's size in bytes follows
			n = -n
			r.long()
		}
		if n < 0 || n > int64(len(r.b)) { // no item is smaller than a byte
			r.fail()
			return
		}
		for ; n > 0 && r.err == nil; n-- {
			each()
		}
	}
}
