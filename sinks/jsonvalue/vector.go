package jsonvalue

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

// Floats returns the elements of a dense vector or a multivector.
func Floats(v stream.Value) []float32 {
	raw := v.Raw()
	switch {
	case v.Kind() != stream.Vector || v.Elem() == stream.F32:
		return v.Floats()
	case v.Elem() == stream.I8:
		out := make([]float32, len(raw))
		for i := range out {
			out[i] = float32(int8(raw[i]))
		}
		return out
	}
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = Single(binary.LittleEndian.Uint16([]byte(raw[2*i : 2*i+2])))
	}
	return out
}

// Single widens a half-precision float, exactly: signalling NaNs too, which github.com/x448/float16 makes quiet.
func Single(half uint16) float32 {
	sign, exponent, fraction := uint32(half>>15)<<31, uint32(half>>10&0x1f), uint32(half&0x3ff)
	switch exponent {
	case 0:
		f := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// Half narrows a float that was a half before; ok is false for any other.
func Half(f float32) (h uint16, ok bool) {
	bits := math.Float32bits(f)
	sign, exponent, fraction := uint16(bits>>16&0x8000), int(bits>>23&0xff)-112, bits&0x7fffff
	switch {
	case exponent == 0xff-112:
		h = sign | 0x7c00 | uint16(fraction>>13)
	case exponent >= 31:
		return 0, false
	case exponent > 0:
		h = sign | uint16(exponent)<<10 | uint16(fraction>>13)
	default:
		h = sign | uint16(math.Abs(float64(f))*(1<<24))
	}
	return h, math.Float32bits(Single(h)) == bits
}

// ParseVector reads a list of numbers as a vector of a type; false when it is none.
func ParseVector(text []byte, of stream.Type) (v stream.Value, ok bool) {
	var numbers []json.Number
	if json.Unmarshal(text, &numbers) != nil {
		return v, false
	}
	var raw []byte
	for _, n := range numbers {
		wide, err := strconv.ParseFloat(n.String(), 32)
		f := float32(wide)
		if err != nil {
			return v, false
		}
		switch of.Element {
		case stream.I8:
			if f != float32(int8(f)) {
				return v, false
			}
			raw = append(raw, byte(int8(f)))
		case stream.F16:
			h, ok := Half(f)
			if !ok {
				return v, false
			}
			raw = binary.LittleEndian.AppendUint16(raw, h)
		default:
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
		}
	}
	v, err := stream.RawVectorOf(of.Element, raw)
	return v, err == nil
}
