package embed

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet-dev/freshet/operators/internal/post"
	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// OpenAI declares the provider "openai": any server that speaks OpenAI's embeddings protocol.
// Invariant 7: of its settings, only what can change a vector is part of its results' identity.
func OpenAI() stream.ProviderSpec {
	return stream.ProviderSpec{
		Name: "openai",
		Doc: "Any server that speaks OpenAI's embeddings protocol: OpenAI, Ollama, vLLM, text-embeddings-inference, " +
			"llama.cpp and others.",
		Settings: []stream.Setting{
			{Name: "model", Kind: stream.SettingString, Required: true, Output: true, Doc: "The model's name at the server."},
			{Name: "dimensions", Kind: stream.SettingInt, Required: true, Min: 1, Max: 65_536, Output: true,
				Doc: "Dimensions of the model's vectors; checked, not requested."},
			{Name: "base_url", Kind: stream.SettingURL, Default: stream.StringOf("https://api.openai.com/v1"),
				Doc: "Where the protocol begins: `/embeddings` is added to it."},
			{Name: "api_key", Kind: stream.SettingSecret, Doc: "Key to send as bearer token; none is sent without it."},
			{Name: "batch", Kind: stream.SettingInt, Default: stream.IntOf(64), Min: 1, Max: 2048, Doc: "Most texts in one request."},
			{Name: "timeout", Kind: stream.SettingDuration, Default: stream.IntOf(int64(30 * time.Second)),
				Doc: "Longest wait for a request's answer."},
		},
		Dimensions: dimensions,
		New:        newOpenAI,
	}
}

func dimensions(s stream.Settings) (int, error) {
	if s.Int("dimensions") < 1 {
		return 0, fmt.Errorf("dimensions is not set; write how many dimensions the model's vectors have")
	}
	return s.Int("dimensions"), nil
}

// openAI asks one server. Its connections are kept and shared by concurrent calls.
type openAI struct {
	server     post.Service
	model      string
	dims, most int
	timeout    time.Duration
}

func newOpenAI(s stream.Settings) (stream.Operator, error) {
	dims, err := dimensions(s)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, "embed by openai", "%w", err)
	}
	timeout := time.Duration(s.Int("timeout"))
	if timeout <= 0 {
		return nil, stream.Errorf(stream.Usage, "embed by openai", "timeout must be above zero")
	}
	return &openAI{
		server: post.OpenAI(s, "embeddings", "embeddings"),
		model:  s.String("model"), dims: dims, most: max(1, s.Int("batch")), timeout: timeout,
	}, nil
}

// BatchSize implements stream.Batcher.
func (o *openAI) BatchSize() int { return o.most }

// Apply implements stream.Operator: one request, and one attempt, for all inputs. A failure concerns all of them; the
// engine splits a batch that the server calls Invalid.
func (o *openAI) Apply(ctx context.Context, inputs []stream.Value) ([]stream.Value, error) {
	texts := make([]string, len(inputs))
	for i, in := range inputs {
		text, err := single.Text("embed by openai", in)
		if err != nil {
			return nil, err
		}
		texts[i] = text
	}
	if len(texts) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	body, err := o.post(ctx, texts)
	if err != nil {
		return nil, err
	}
	return o.read(body, len(texts))
}
