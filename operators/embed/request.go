package embed

import (
	"context"
	"encoding/json"

	"github.com/freshet-dev/freshet/stream"
)

type request struct {
	Model    string   `json:"model"`
	Input    []string `json:"input"`
	Encoding string   `json:"encoding_format"`
}

// post sends texts and returns the body of the answer.
func (o *openAI) post(ctx context.Context, texts []string) ([]byte, error) {
	body, err := json.Marshal(request{o.model, texts, "float"})
	if err != nil {
		return nil, stream.Errorf(stream.Invalid, "write a request for embeddings", "%w", err)
	}
	answer, _, err := o.server.JSON(ctx, body, o.answerLimit(len(texts)))
	return answer, err
}

// answerLimit bounds the bytes of an answer: a number takes less than 32, and the rest little.
func (o *openAI) answerLimit(n int) int64 { return 1<<20 + int64(n)*int64(o.dims)*32 }
