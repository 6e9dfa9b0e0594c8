package jsonvalue

import (
	"math"
	"testing"
)

// TestHalves: every half is a float, and back.
func TestHalves(t *testing.T) {
	for h := range 1 << 16 {
		if got, ok := Half(Single(uint16(h))); !ok || got != uint16(h) {
			t.Fatalf("half %#x becomes %v and then %#x", h, Single(uint16(h)), got)
		}
	}
	for _, f := range []float32{0.1, 65520, 1e-9, math.MaxFloat32} {
		if h, ok := Half(f); ok {
			t.Errorf("%v is no half, but becomes %#x", f, h)
		}
	}
}
