package extract

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/operators/internal/post"
	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// OpenAI declares the provider "openai.chat": any server that speaks OpenAI's chat completions protocol, with answers of a
// form (response_format json_schema).
func OpenAI() stream.ProviderSpec {
	return stream.ProviderSpec{
		Name: "openai.chat",
		Doc: "Any server that speaks OpenAI's chat completions protocol with structured outputs (`response_format` of type `json_schema`): OpenAI, Ollama, vLLM, " +
			"llama.cpp and others.",
		Settings: []stream.Setting{
			{Name: "model", Kind: stream.SettingString, Required: true, Output: true, Doc: "The model's name at the server."},
			{Name: "parameters", Kind: stream.SettingMap, Output: true,
				Doc: "Further members of each request, as the server knows them: `{ temperature: 0, max_tokens: 2000 }`."},
			{Name: "base_url", Kind: stream.SettingURL, Default: stream.StringOf("https://api.openai.com/v1"),
				Doc: "Where the protocol begins: `/chat/completions` is added to it."},
			{Name: "api_key", Kind: stream.SettingSecret, Doc: "Key to send as bearer token; none is sent without it."},
			{Name: "concurrency", Kind: stream.SettingInt, Default: stream.IntOf(4), Min: 1, Max: 256, Doc: "Most requests at a time, of one node in one process."},
			{Name: "timeout", Kind: stream.SettingDuration, Default: stream.IntOf(int64(2 * time.Minute)),
				Doc: "Longest wait for a request's answer."},
		},
		Ask: newOpenAI,
	}
}

// openAI asks one server. Its connections are kept and shared by concurrent calls.
type openAI struct {
	server  post.Service
	request []byte // up to the text
	most    int
	timeout time.Duration
}

// own are the members of a request that are this provider's to write.
var own = []string{"model", "messages", "response_format", "stream", "n"}

func newOpenAI(s stream.Settings, q stream.Question) (stream.Answerer, error) {
	const op = "ask by openai.chat"
	timeout := time.Duration(s.Int("timeout"))
	if timeout <= 0 {
		return nil, stream.Errorf(stream.Usage, op, "timeout must be above zero")
	}
	for _, name := range own {
		if _, written := s.Values.Field("parameters").Get(name); written {
			return nil, stream.Errorf(stream.Usage, op, "parameters: %s is written by Freshet; leave it out", name)
		}
	}
	request, err := beginning(s, q)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, op, "%w", err)
	}
	return &openAI{
		server:  post.OpenAI(s, "chat/completions", "an answer"),
		request: request, most: max(1, s.Int("concurrency")), timeout: timeout,
	}, nil
}

// beginning is what all requests have in common: all but the text, which is the last of the last member.
func beginning(s stream.Settings, q stream.Question) ([]byte, error) {
	b := []byte{'{'}
	for _, e := range s.Values.Field("parameters").Entries() {
		value, err := jsonvalue.Append(nil, e.Value)
		if err != nil {
			return nil, fmt.Errorf("parameters: %s: %w", e.Key, err)
		}
		b = fmt.Appendf(b, "%s:%s,", quoted(e.Key), value)
	}
	var schema bytes.Buffer
	if err := json.Compact(&schema, q.Schema); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return fmt.Appendf(b, `"model":%s,"response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":%t,"schema":%s}},`+
		`"messages":[{"role":"system","content":%s},{"role":"user","content":`, quoted(s.String("model")), q.Closed, schema.Bytes(), quoted(q.Prompt)), nil
}

// quoted writes a text as JSON does.
func quoted(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always has a form
	}
	return b
}

// Concurrency implements stream.Answerer.
func (o *openAI) Concurrency() int { return o.most }

// maxAnswer is in bytes.
const maxAnswer = 16 << 20

// Answer implements stream.Answerer: one request, and one attempt.
func (o *openAI) Answer(ctx context.Context, text string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	body := append(append(append(make([]byte, 0, len(o.request)+len(text)+len(text)/8), o.request...), quoted(text)...), "}]}"...)
	raw, secrets, err := o.server.JSON(ctx, body, maxAnswer)
	if err != nil {
		return nil, err
	}
	return read(raw, secrets)
}

// completion is what a server says. Of several choices the first counts.
type completion struct {
	Choices []struct {
		Message struct {
			Content string `json:"content"`
			Refusal string `json:"refusal"`
		} `json:"message"`
		Finish string `json:"finish_reason"`
	} `json:"choices"`
}

func read(raw []byte, secrets []string) ([]byte, error) {
	const op = "read an answer"
	var c completion
	if err := json.Unmarshal(raw, &c); err != nil || len(c.Choices) == 0 {
		return nil, stream.Errorf(stream.Usage, op, "it is none of the chat completions protocol (check base_url)")
	}
	first := c.Choices[0]
	switch {
	case first.Message.Refusal != "":
		return nil, stream.Errorf(stream.Invalid, op, "the model refuses%s", stream.Explanation(strings.NewReader(first.Message.Refusal), secrets...))
	case first.Finish == "length":
		return nil, stream.Errorf(stream.Invalid, op, "the answer was cut off, since it is longer than the model may write; raise its limit in `parameters`, or give it shorter texts")
	case first.Finish == "content_filter":
		return nil, stream.Errorf(stream.Invalid, op, "the server's filter holds the answer back")
	case strings.TrimSpace(first.Message.Content) == "":
		return nil, stream.Errorf(stream.Invalid, op, "the model answers nothing")
	}
	return []byte(first.Message.Content), nil
}
