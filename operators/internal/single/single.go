// Package single makes operators of functions that look at one input at a time.
//
// It upholds: one output per input, in order; an input that fails never spoils its neighbours.
package single

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

// Func computes one output from one input. It is an operator: stateless, safe for concurrent use when the function is.
type Func func(in stream.Value) (stream.Value, error)

// Apply implements stream.Operator. When ctx ends it returns ctx's error as Transient, for all inputs; when the function
// refuses some inputs it returns a *stream.BatchError that names them.
func (f Func) Apply(ctx context.Context, inputs []stream.Value) ([]stream.Value, error) {
	outputs := make([]stream.Value, len(inputs))
	failed := map[int]error{}
	for i, in := range inputs {
		if err := ctx.Err(); err != nil {
			return nil, &stream.Error{Op: "run an operator", Kind: stream.Transient, Err: err}
		}
		out, err := f(in)
		if err != nil {
			failed[i] = err
			continue
		}
		outputs[i] = out
	}
	if len(failed) > 0 {
		return outputs, &stream.BatchError{Failed: failed}
	}
	return outputs, nil
}

// Text returns the content of a string, and an Invalid error for every other kind; op says what needed it.
func Text(op string, in stream.Value) (string, error) {
	if in.Kind() != stream.String {
		return "", stream.Errorf(stream.Invalid, op, "the input is of type %s, a string is needed", in.Kind())
	}
	return in.Str(), nil
}

// AcceptsText reports whether values of type t can be strings: string, or a type known at run time only.
func AcceptsText(t stream.Type) bool { return t.Kind == stream.String || t.Kind == stream.Dynamic }
