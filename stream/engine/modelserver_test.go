package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/operators/embed"
	"github.com/freshet-dev/freshet/stream"
)

// modelServer speaks OpenAI's embeddings protocol in virtual time, and fails as it is told.
type modelServer struct {
	random  *rand.Rand
	keyFile string // what clients read their key from
	server  *http.Server
	conns   chan net.Conn
	closed  chan struct{}

	mu       sync.Mutex
	down     bool
	key      string
	faults   map[int]float64 // how likely a request meets what; 0: no answer
	judged   int             // requests with a valid key
	requests []asked
}

// asked is a request and its answer; of status 0 there was none.
type asked struct {
	at     time.Time
	key    string
	inputs []string
	status int
}

const retryAfter = 3 * time.Second

func newModelServer(seed uint64, dir string) (*modelServer, error) {
	m := &modelServer{random: rand.New(rand.NewPCG(seed, 0)), keyFile: dir + "/key", conns: make(chan net.Conn), closed: make(chan struct{})}
	m.server = &http.Server{Handler: m}
	go func() { _ = m.server.Serve(m) }() // ends with close
	return m, m.rotate("first")
}

func (m *modelServer) close() {
	_ = m.server.Close()
}

// expire makes a key valid that nobody knows yet, and no other.
func (m *modelServer) expire(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.key = key
}

// rotate makes a key valid, and gives it to the clients.
func (m *modelServer) rotate(key string) error {
	m.expire(key)
	return os.WriteFile(m.keyFile, []byte(key), 0o600)
}

func (m *modelServer) setDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// Accept implements net.Listener, as Close and Addr.
func (m *modelServer) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *modelServer) Close() error   { close(m.closed); return nil }
func (m *modelServer) Addr() net.Addr { return &net.UnixAddr{Name: "model"} }

func (m *modelServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	m.mu.Lock()
	down := m.down
	m.mu.Unlock()
	if down {
		return nil, fmt.Errorf("connection refused")
	}
	near, far := net.Pipe()
	select {
	case m.conns <- far:
		return near, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *modelServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Input []string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	a := asked{at: time.Now(), key: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), inputs: in.Input}
	m.mu.Lock()
	a.status = m.judge(a)
	m.requests = append(m.requests, a)
	m.mu.Unlock()
	switch a.status {
	case 0:
		<-r.Context().Done()
		return
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "3")
	case http.StatusServiceUnavailable:
		panic(http.ErrAbortHandler) // the connection breaks
	}
	w.WriteHeader(a.status)
	if a.status != http.StatusOK {
		fmt.Fprintf(w, "no: %d", a.status)
		return
	}
	type embedding struct {
		Embedding []float32 `json:"embedding"`
	}
	var out struct {
		Data []embedding `json:"data"`
	}
	for _, text := range in.Input {
		out.Data = append(out.Data, embedding{[]float32{float32(len(text)), float32(text[len(text)-1])}})
	}
	_ = json.NewEncoder(w).Encode(out) // the client sees a broken answer
}

// judge decides about a request; m.mu is held.
func (m *modelServer) judge(a asked) int {
	switch {
	case m.down:
		return http.StatusServiceUnavailable
	case a.key != m.key:
		return http.StatusUnauthorized
	}
	m.judged++
	if status, once := map[int]int{10: http.StatusTooManyRequests, 20: http.StatusInternalServerError, 30: 0}[m.judged]; once && len(m.faults) > 0 {
		return status // each is met, whatever the seed
	}
	x := m.random.Float64()
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, 0} {
		if x -= m.faults[status]; x < 0 {
			return status
		}
	}
	if slices.ContainsFunc(a.inputs, func(text string) bool { return strings.Contains(text, "refused") }) {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// answers lists the requests with a text, in order.
func (m *modelServer) answers(text string) (all []asked) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.requests {
		if slices.Contains(a.inputs, text) {
			all = append(all, a)
		}
	}
	return all
}

// operator embeds with the provider openai, and writes vectors as texts.
func (m *modelServer) operator() (stream.Operator, error) {
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	http.DefaultTransport = &http.Transport{DialContext: m.dial}
	provider := embed.OpenAI()
	op, err := embed.Spec().New(stream.Settings{Model: &stream.Model{Name: "small", Provider: &provider, Settings: stream.Settings{Values: stream.MapOf(
		stream.Entry{Key: "model", Value: stream.StringOf("m")},
		stream.Entry{Key: "dimensions", Value: stream.IntOf(2)},
		stream.Entry{Key: "base_url", Value: stream.StringOf("http://model/v1")},
		stream.Entry{Key: "api_key", Value: stream.StringOf("file:" + m.keyFile)},
		stream.Entry{Key: "batch", Value: stream.IntOf(16)},
		stream.Entry{Key: "timeout", Value: stream.IntOf(int64(5 * time.Second))})}}})
	return written{op}, err
}

// written gives vectors as texts, as the table of the tests wants them.
type written struct{ stream.Operator }

func (w written) BatchSize() int { return w.Operator.(stream.Batcher).BatchSize() }

func (w written) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	out, err := w.Operator.Apply(ctx, in)
	texts := make([]stream.Value, len(out))
	for i, v := range out {
		texts[i] = stream.StringOf(fmt.Sprint(v.Floats()))
	}
	return texts, err
}
