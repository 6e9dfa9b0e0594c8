package e2e

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// modelServer speaks OpenAI's embeddings protocol and counts what it is asked.
type modelServer struct {
	URL string

	mu     sync.Mutex
	inputs []string
}

// dimensions of the stub's vectors.
const dimensions = 4

func newModelServer(t testing.TB) *modelServer {
	m := &modelServer{}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	m.URL = s.URL + "/v1"
	return m
}

// taken returns the inputs that were embedded since it was last asked.
func (m *modelServer) taken() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	inputs := m.inputs
	m.inputs = nil
	return inputs
}

// ServeHTTP answers with a vector for each input that depends on nothing but the model's name and the text.
func (m *modelServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || r.URL.Path != "/v1/embeddings" {
		http.Error(w, "what is this?", http.StatusBadRequest)
		return
	}
	m.mu.Lock()
	m.inputs = append(m.inputs, request.Input...)
	m.mu.Unlock()
	type embedding struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	var answer struct {
		Data []embedding `json:"data"`
	}
	for i, text := range request.Input {
		answer.Data = append(answer.Data, embedding{i, vector(request.Model, text)})
	}
	_ = json.NewEncoder(w).Encode(answer) // the client sees a broken answer
}

func vector(model, text string) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(model + "\x00" + text)) // a hash takes everything
	random := rand.New(rand.NewPCG(h.Sum64(), 0))
	v := make([]float32, dimensions)
	for i := range v {
		v[i] = random.Float32()
	}
	return v
}
