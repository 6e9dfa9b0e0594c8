package embed

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// Spec declares embed: from a string to a vector of f32, computed by the model that the setting names.
func Spec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "embed",
		Version: 1,
		Doc:     "Turns a text into a vector, by a model of the flow file. Vectors are kept and reused for equal texts.",
		Settings: []stream.Setting{{Name: "model", Kind: stream.SettingModel, Required: true, Output: true,
			Doc: "Entry of `models` that computes."}},
		Costly: true,
		Output: output,
		New:    open,
	}
}

func output(in stream.Type, s stream.Settings) (stream.Type, error) {
	if !single.AcceptsText(in) {
		return stream.Type{}, fmt.Errorf("embed takes a string, not %s; a formula such as string(...) makes one", in)
	}
	if s.Model == nil || s.Model.Provider.Dimensions == nil {
		return stream.Type{}, errors.New("embed needs a model that gives vectors; name such an entry of models")
	}
	dims, err := s.Model.Provider.Dimensions(s.Model.Settings)
	if err != nil {
		return stream.Type{}, fmt.Errorf("model %s: %w", s.Model.Name, err)
	}
	return stream.VectorType(stream.F32, dims), nil
}

func open(s stream.Settings) (stream.Operator, error) {
	if s.Model == nil || s.Model.Provider.New == nil {
		return nil, stream.Errorf(stream.Usage, "embed", "no model that gives vectors is named; name such an entry of models")
	}
	provider, err := s.Model.Provider.New(s.Model.Settings)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", s.Model.Name, err)
	}
	e := embedder{provider: provider, op: "embed with model " + s.Model.Name}
	if b, ok := provider.(stream.Batcher); ok {
		return batchEmbedder{e, b}, nil
	}
	return e, nil
}

// embedder keeps what is no text away from a provider, and names the model in its errors.
type embedder struct {
	provider stream.Operator
	op       string
}

type batchEmbedder struct {
	embedder
	stream.Batcher
}

// Apply implements stream.Operator. What is no text fails by itself; the texts go to the provider.
func (e embedder) Apply(ctx context.Context, inputs []stream.Value) ([]stream.Value, error) {
	var texts []stream.Value
	var at []int // where each text stands among the inputs
	failed := map[int]error{}
	for i, in := range inputs {
		if _, err := single.Text(e.op, in); err != nil {
			failed[i] = err
			continue
		}
		texts, at = append(texts, in), append(at, i)
	}
	vectors, err := e.provider.Apply(ctx, texts)
	var some *stream.BatchError
	if errors.As(err, &some) {
		for i, err := range some.Failed {
			failed[at[i]] = stream.Within(e.op, err)
		}
	} else if err != nil {
		return nil, stream.Within(e.op, err)
	}
	return spread(vectors, at, len(inputs)), partly(failed)
}

// spread puts each vector where its text stood.
func spread(vectors []stream.Value, at []int, n int) []stream.Value {
	out := make([]stream.Value, n)
	for i, v := range vectors {
		out[at[i]] = v
	}
	return out
}

func partly(failed map[int]error) error {
	if len(failed) == 0 {
		return nil
	}
	return &stream.BatchError{Failed: failed}
}
