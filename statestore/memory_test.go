package statestore

import (
	"encoding/binary"
	"testing"
)

// TestCopyIsOfOneMoment: beside a writer, the entries of a copy are those of its checkpoint, and a copy stays as it is.
func TestCopyIsOfOneMoment(t *testing.T) {
	m := NewMemory()
	key := []byte("k")
	done := make(chan error, 1)
	go func() {
		for i := range uint64(20_000) {
			if err := m.Apply([]Entry{{Key: key, Value: binary.BigEndian.AppendUint64(nil, i)}}, Checkpoint{Applied: int64(i)}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		c := m.Copy()
		value, ok, err := c.Get(key)
		mark, marked, err2 := c.Checkpoint()
		if err != nil || err2 != nil || ok != marked {
			t.Fatalf("a copy has a value: %t, a checkpoint: %t (%v, %v)", ok, marked, err, err2)
		}
		if ok && binary.BigEndian.Uint64(value) != uint64(mark.Applied) {
			t.Fatalf("a copy has the entries of %d and the checkpoint of %d", binary.BigEndian.Uint64(value), mark.Applied)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

// TestCopyOfHalfAnApply: what a machine finds that lost power between two pieces.
func TestCopyOfHalfAnApply(t *testing.T) {
	m := NewMemory()
	m.PieceEntries = 1
	var half *Memory
	m.Interrupt = func(piece int) error {
		if piece == 1 {
			half = m.Copy()
		}
		return nil
	}
	if err := m.Apply([]Entry{{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b"), Value: []byte("1")}}, Checkpoint{Applied: 7}); err != nil {
		t.Fatal(err)
	}
	_, a, _ := half.Get([]byte("a"))
	_, b, _ := half.Get([]byte("b"))
	if _, marked, _ := half.Checkpoint(); !a || b || marked {
		t.Errorf("between the pieces a copy has the first entry: %t, the second: %t, the checkpoint: %t", a, b, marked)
	}
}
