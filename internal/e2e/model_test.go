package e2e

import (
	"encoding/json"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"unicode"
)

// modelServer speaks OpenAI's protocols of embeddings and of chat completions, and counts what it is asked.
type modelServer struct {
	URL string

	mu     sync.Mutex
	inputs []string
	texts  []string
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

// asked returns the texts that were asked about since it was last asked.
func (m *modelServer) asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	texts := m.texts
	m.texts = nil
	return texts
}

// ServeHTTP answers what depends on nothing but the model's name, the prompt and the text.
func (m *modelServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/chat/completions" {
		m.chat(w, r)
		return
	}
	m.embed(w, r)
}

// chat lists the words of a text that begin in upper case, each with the first word of the prompt as its kind and the text as what is
// said of it, and as relations each with the next.
func (m *modelServer) chat(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Messages []struct{ Role, Content string } `json:"messages"`
		Format   struct{ Type string }            `json:"response_format"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil || len(request.Messages) != 2 || request.Format.Type != "json_schema" {
		http.Error(w, "what is this?", http.StatusBadRequest)
		return
	}
	kind, _, _ := strings.Cut(request.Messages[0].Content, " ")
	text := request.Messages[1].Content
	m.mu.Lock()
	m.texts = append(m.texts, text)
	m.mu.Unlock()
	facts := struct {
		Entities  []map[string]string `json:"entities"`
		Relations []map[string]string `json:"relations"`
	}{[]map[string]string{}, []map[string]string{}}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if !unicode.IsUpper([]rune(word)[0]) {
			continue
		}
		if n := len(facts.Entities); n > 0 {
			facts.Relations = append(facts.Relations, map[string]string{"from": facts.Entities[n-1]["name"], "type": "BEFORE", "to": word})
		}
		facts.Entities = append(facts.Entities, map[string]string{"name": word, "kind": kind, "description": text})
	}
	content, _ := json.Marshal(facts) // maps of strings
	_ = json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"finish_reason": "stop", "message": map[string]any{"content": string(content)}}}})
}

func (m *modelServer) embed(w http.ResponseWriter, r *http.Request) {
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
