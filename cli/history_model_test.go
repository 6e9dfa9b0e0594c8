package cli

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/operators/parse"
	"github.com/freshet-dev/freshet/operators/split"
	"github.com/freshet-dev/freshet/stream"
)

// vectorServer speaks OpenAI's embeddings protocol and counts the texts it is sent.
type vectorServer struct {
	*httptest.Server
	sent atomic.Int64
}

func newVectorServer(t *testing.T) *vectorServer {
	s := &vectorServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *vectorServer) texts() int { return int(s.sent.Load()) }

func (s *vectorServer) answer(w http.ResponseWriter, r *http.Request) {
	var ask struct{ Input []string }
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	type vector struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	var answer struct {
		Data []vector `json:"data"`
	}
	for i, text := range ask.Input {
		answer.Data = append(answer.Data, vector{i, s.vector(text)})
	}
	s.sent.Add(int64(len(ask.Input)))
	_ = json.NewEncoder(w).Encode(answer) // the client sees what was cut
}

// vector has eight dimensions, each exact in decimal.
func (*vectorServer) vector(text string) []float32 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	v := make([]float32, 8)
	for i := range v {
		v[i] = float32(byte(h.Sum64()>>(8*i)))/256 + 1
	}
	return v
}

// flowModel says what the flow of historyFlow does, by its operators alone.
type flowModel struct {
	t            *testing.T
	vector       func(string) []float32
	parse, split stream.Operator
	held         map[string]modelDocument // by path
	users        map[string]int           // by text that is embedded
	seen         map[string]bool
}

// modelDocument is what a path has in the table: by key, its columns and the text that was embedded.
type modelDocument map[string]modelRow

type modelRow struct {
	columns stream.Value
	text    string
}

func newFlowModel(t *testing.T, vector func(string) []float32) *flowModel {
	m := &flowModel{t: t, vector: vector, held: map[string]modelDocument{}, users: map[string]int{}, seen: map[string]bool{}}
	var err error
	if m.parse, err = parse.Markdown().New(stream.Settings{}); err != nil {
		t.Fatal(err)
	}
	m.split, err = split.Markdown().New(stream.Settings{Values: stream.MapOf(
		stream.Entry{Key: "encoding", Value: stream.StringOf("cl100k_base")},
		stream.Entry{Key: "max_tokens", Value: stream.IntOf(256)},
		stream.Entry{Key: "overlap", Value: stream.IntOf(0)})})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// expected is what a commit must do: row writes, and texts that no live document held before it, or none ever.
type expected struct{ upserts, deletes, unheld, unseen int }

// commit enters the edits of a commit: the diff between the tables built before and after it.
func (m *flowModel) commit(edits []history.Edit) (e expected) {
	after := map[string]modelDocument{}
	texts := map[string]bool{}
	for _, edit := range edits {
		var doc modelDocument // nil: no such file
		if !edit.Delete {
			doc = m.build(edit)
		}
		after[edit.Path] = doc
		e.upserts, e.deletes = e.upserts+doc.upserts(m.held[edit.Path]), e.deletes+doc.deletes(m.held[edit.Path])
		for _, r := range doc {
			texts[r.text] = true
		}
	}
	for text := range texts {
		if m.users[text] == 0 {
			e.unheld++
			if !m.seen[text] {
				e.unseen++
			}
		}
		m.seen[text] = true
	}
	for path, doc := range after {
		m.replace(path, doc)
	}
	return e
}

// upserts and deletes are the rows to be written when this version follows before.
func (now modelDocument) upserts(before modelDocument) (n int) {
	for key, r := range now {
		if was, ok := before[key]; !ok || !was.columns.Equal(r.columns) {
			n++
		}
	}
	return n
}

func (now modelDocument) deletes(before modelDocument) (n int) {
	for key := range before {
		if _, ok := now[key]; !ok {
			n++
		}
	}
	return n
}

func (m *flowModel) replace(path string, doc modelDocument) {
	for _, r := range doc {
		m.users[r.text]++
	}
	for _, r := range m.held[path] {
		if m.users[r.text]--; m.users[r.text] == 0 {
			delete(m.users, r.text)
		}
	}
	if m.held[path] = doc; doc == nil {
		delete(m.held, path)
	}
}

// build evaluates a file: one row for each chunk.
func (m *flowModel) build(e history.Edit) modelDocument {
	body := m.apply(m.parse, stream.StringOf(string(e.Content)))
	chunks, title := m.apply(m.split, body), body.Field("title").Str()
	doc := modelDocument{}
	for i := range chunks.Len() {
		chunk := chunks.At(i)
		text := title + "\n" + chunk.Field("text").Str()
		doc[chunk.Field("id").Str()] = modelRow{text: text, columns: stream.ListOf( // in order of name
			stream.VectorOf(m.vector(text)), stream.StringOf(e.Path), chunk.Field("text"), stream.StringOf(title))}
	}
	return doc
}

func (m *flowModel) apply(op stream.Operator, in stream.Value) stream.Value {
	out, err := op.Apply(m.t.Context(), []stream.Value{in})
	if err != nil {
		m.t.Fatal(err)
	}
	return out[0]
}

// row returns the columns of a row of the last state, by document ID and key.
func (m *flowModel) row(id, key string) (stream.Value, bool) {
	r, ok := m.held[strings.TrimPrefix(id, "page/")][key]
	return r.columns, ok
}

func (m *flowModel) rows() (n int) {
	for _, doc := range m.held {
		n += len(doc)
	}
	return n
}

// texts is how many different texts the last state embeds.
func (m *flowModel) texts() int { return len(m.users) }
