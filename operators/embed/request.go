package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

type request struct {
	Model    string   `json:"model"`
	Input    []string `json:"input"`
	Encoding string   `json:"encoding_format"`
}

// post sends texts and returns the body of the answer. The key is read for each request, so that a new one is seen.
func (o *openAI) post(ctx context.Context, texts []string) ([]byte, error) {
	req, key, err := o.request(ctx, texts)
	if err != nil {
		return nil, err
	}
	op := "ask " + req.URL.Host + " for embeddings"
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, &stream.Error{Op: op, Kind: stream.Transient, Err: withoutURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(op, resp, key)
	}
	limit := o.answerLimit(len(texts))
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, &stream.Error{Op: op, Kind: stream.Transient, Err: fmt.Errorf("read the answer: %w", err)}
	}
	if int64(len(body)) > limit {
		return nil, stream.Errorf(stream.Usage, op, "the answer is larger than %d bytes, too large for %d vectors of %d dimensions; "+
			"correct dimensions, or base_url", limit, len(texts), o.dims)
	}
	return body, nil
}

// answerLimit bounds the bytes of an answer: a number takes less than 32, and the rest little.
func (o *openAI) answerLimit(n int) int64 { return 1<<20 + int64(n)*int64(o.dims)*32 }

func (o *openAI) request(ctx context.Context, texts []string) (*http.Request, string, error) {
	address, err := o.address()
	if err != nil {
		return nil, "", err
	}
	key, err := o.key.Resolve()
	if err != nil {
		return nil, "", err
	}
	body, err := json.Marshal(request{o.model, texts, "float"})
	if err != nil {
		return nil, "", stream.Errorf(stream.Invalid, "write a request for embeddings", "%w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, "", stream.Errorf(stream.Usage, "write a request for embeddings", "%w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	return req, key, nil
}

func (o *openAI) address() (*url.URL, error) {
	text, err := o.url.Resolve()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimSpace(text))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, stream.Errorf(stream.Usage, "embed by openai", "base_url %s is no http or https address", o.url)
	}
	return base.JoinPath("embeddings"), nil
}

// withoutURL takes the address off an error of net/http: its query can hold a secret.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
