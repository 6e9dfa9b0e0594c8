package engine_test

import (
	"context"
	"testing"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// doubling gives each text twice, and counts how often it was called.
type doubling struct{ calls int }

func (d *doubling) Apply(_ context.Context, inputs []stream.Value) ([]stream.Value, error) {
	d.calls++
	out := make([]stream.Value, len(inputs))
	for i, v := range inputs {
		out[i] = stream.StringOf(v.Str() + v.Str())
	}
	return out, nil
}

// TestRecalled: cheap operators run; a costly one is not called, whether its result is held or not.
func TestRecalled(t *testing.T) {
	op := &doubling{}
	cheap, costly := &stream.Node{Name: "cheap", Operator: op}, &stream.Node{Name: "costly", Operator: op, Costly: true}
	held, unknown := stream.StringOf("a"), stream.StringOf("b")
	key := costly.MemoKey(held)
	own := statestore.NewMemory()
	memo := stream.StateEntry{Key: append([]byte{'m'}, key[:]...), Value: stream.AppendValue(nil, stream.StringOf("kept"))}
	if err := own.Apply([]stream.StateEntry{memo}, stream.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	calls := engine.Recalled(own)
	out, err := calls.Call(t.Context(), costly, []stream.Value{held, unknown, {}})
	if err != nil || out[0].Str() != "kept" || !out[2].IsNull() || op.calls != 0 {
		t.Errorf("%v, %v, %d calls", out, err, op.calls)
	}
	if of, stands := out[1].StandsIn(); !stands || of != costly.MemoKey(unknown) {
		t.Errorf("got %v", out[1])
	}
	if out, err = calls.Call(t.Context(), cheap, []stream.Value{held}); err != nil || out[0].Str() != "aa" {
		t.Errorf("%v, %v", out, err)
	}
}
