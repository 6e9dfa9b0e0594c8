package testenv

import (
	"bytes"
	"context"
	_ "embed" // the front
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
)

//go:embed feast_front.py
var feastFront []byte

// FeastServer is Feast's own feature server over a Redis server, with a path more by which tests apply feature views. It has fixed ports: after Kill,
// Start brings the same one back. Methods are for one goroutine at a time, Ask aside.
type FeastServer struct {
	dir     string
	port    int
	store   *RedisServer
	process *process
}

// Feast starts a server of its own for this test; it ends with the test.
func Feast(t testing.TB) *FeastServer {
	t.Helper()
	s, err := startFeast(t.Context())
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.process.tail())
		}
		s.close()
	})
	return s
}

// URL is where it serves.
func (s *FeastServer) URL() string { return "http://" + local(s.port) }

// Store is the online store, a Redis server that keeps what it has answered.
func (s *FeastServer) Store() *RedisServer { return s.store }

// Kill ends the feature server by SIGKILL and returns when it is gone.
func (s *FeastServer) Kill() { s.process.kill() }

// Start starts one that was killed, and returns when it answers.
func (s *FeastServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

// FeastView is a feature view, with a push source of the same name.
type FeastView struct {
	View     string            `json:"view"`
	Key      [2]string         `json:"key"` // the join key, and its type
	Features map[string]string `json:"features"`
}

// FeastBooks is the view of Freshet's bookkeeping.
func FeastBooks(name string) FeastView {
	return FeastView{name, [2]string{"_id", "String"}, map[string]string{"_body": "String", "_sequence": "Int64"}}
}

// FeastRows is the view of a table whose columns are features of these types.
func FeastRows(name string, columns map[string]string) FeastView {
	v := FeastView{name, [2]string{"_id", "String"}, map[string]string{"_document": "String", "_key": "String", "_version": "Int64", "_deleted": "Bool",
		"_lineage": "String", "_exact": "String"}}
	for column, of := range columns {
		v.Features[column] = of
	}
	return v
}

// Apply makes or replaces views, as `feast apply` does.
func (s *FeastServer) Apply(t testing.TB, views ...FeastView) {
	t.Helper()
	for _, v := range views {
		_, err := s.Ask(t.Context(), "test/apply", v)
		must(t, err)
	}
}

// Delete removes a view, and what the online store holds of it.
func (s *FeastServer) Delete(t testing.TB, view string) {
	t.Helper()
	_, err := s.Ask(t.Context(), "test/delete", FeastView{View: view})
	must(t, err)
}

// Ask sends a request with a body in JSON.
func (s *FeastServer) Ask(ctx context.Context, path string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL()+"/"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err = io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.500s", answer.StatusCode, text)
	}
	return text, err
}

func (s *FeastServer) close() {
	if s.process != nil {
		s.process.kill()
	}
	s.store.close()
	_ = os.RemoveAll(s.dir)
}

func startFeast(ctx context.Context) (*FeastServer, error) {
	if _, err := feastComponent.dir(); err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &FeastServer{port: ports[0]}
	if s.store, err = startRedis(ctx, RedisOptions{Durable: true}); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "freshet-feast-"); err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *FeastServer) start(ctx context.Context) error {
	cmd, err := feastComponent.script(context.WithoutCancel(ctx), s.dir, "front.py", feastFront, "--dir", s.dir, "--port", fmt.Sprint(s.port), "--redis", s.store.Addr())
	if err != nil {
		return err
	}
	p, err := launch(cmd, "feast", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

// answers is true once it says that it is healthy.
func (s *FeastServer) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/health", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}
