package embed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/freshet-dev/freshet/stream"
)

type answer struct {
	Data []struct {
		Index     *int            `json:"index"` // some servers leave it out: then order counts
		Embedding json.RawMessage `json:"embedding"`
	} `json:"data"`
}

// read takes n vectors out of an answer, in the order of the request.
func (o *openAI) read(body []byte, n int) ([]stream.Value, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, wrong("the answer is no JSON of embeddings (check base_url): %w", err)
	}
	if len(a.Data) != n {
		return nil, wrong("%d vectors were asked for, %d came (check base_url)", n, len(a.Data))
	}
	out := make([]stream.Value, n)
	for i, d := range a.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= n || !out[at].IsNull() {
			return nil, wrong("the answer has index %d twice or beyond the %d texts asked for", at, n)
		}
		vector, err := o.vector(d.Embedding)
		if err != nil {
			return nil, err
		}
		out[at] = vector
	}
	return out, nil
}

func (o *openAI) vector(raw json.RawMessage) (stream.Value, error) {
	f, err := floats(raw, o.dims)
	if err != nil {
		return stream.Value{}, wrong("a vector of model %s: %w", o.model, err)
	}
	if len(f) != o.dims {
		return stream.Value{}, wrong("model %s gives vectors of %d dimensions, the flow declares %d; set dimensions to %d",
			o.model, len(f), o.dims, len(f))
	}
	return stream.VectorOf(f), nil
}

// floats reads a JSON array of finite numbers; what encoding/json would take for zero, such as null, is an error.
func floats(raw []byte, dims int) ([]float32, error) {
	inner, isList := bytes.CutPrefix(bytes.TrimSpace(raw), []byte("["))
	inner, isClosed := bytes.CutSuffix(inner, []byte("]"))
	if !isList || !isClosed {
		return nil, fmt.Errorf("it is no list of numbers")
	}
	out := make([]float32, 0, dims)
	if len(bytes.TrimSpace(inner)) == 0 {
		return out, nil
	}
	for part := range bytes.SplitSeq(inner, []byte(",")) {
		f, err := strconv.ParseFloat(string(bytes.TrimSpace(part)), 32)
		if err != nil {
			return nil, fmt.Errorf("element %d is no finite number", len(out))
		}
		out = append(out, float32(f))
	}
	return out, nil
}

func wrong(format string, args ...any) error {
	return stream.Errorf(stream.Usage, "read embeddings", format, args...)
}
