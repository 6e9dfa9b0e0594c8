//go:build bench

package backfill

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"time"
)

const (
	dimensions = 64
	atATime    = 8 // requests that the model serves; others wait, as with a provider
)

// model speaks OpenAI's embeddings protocol. Each request takes the same time, whatever is in it.
type model struct {
	service time.Duration
	slots   chan struct{}
}

func newModel(service time.Duration) *model {
	return &model{service, make(chan struct{}, atATime)}
}

// ServeHTTP implements http.Handler.
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Input []string `json:"input"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.slots <- struct{}{}
	defer func() { <-m.slots }()
	ready := time.After(m.service)
	type embedding struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	var answer struct {
		Data []embedding `json:"data"`
	}
	for i, text := range request.Input {
		answer.Data = append(answer.Data, embedding{i, vector(text)})
	}
	<-ready
	_ = json.NewEncoder(w).Encode(answer) // the client sees a broken answer
}

// vector depends on nothing but the text.
func vector(text string) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // a hash takes everything
	random := rand.New(rand.NewPCG(h.Sum64(), 0))
	v := make([]float32, dimensions)
	for i := range v {
		v[i] = float32(random.IntN(2001)-1000) / 1000
	}
	return v
}
