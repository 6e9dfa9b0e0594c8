package testenv

import (
	"context"
	_ "embed" // the server, and what compacts its tables
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

//go:embed lance_server.py
var lanceServer []byte

//go:embed lance_compact.py
var lanceCompact []byte

// LanceServer is Lance's own server of its REST namespace protocol, over a directory. It has a fixed port and data directory: after
// Kill, Start brings the same one back. Methods are for one goroutine at a time.
type LanceServer struct {
	dir     string
	port    int
	process *process
}

// Lance starts a server of its own for this test; it ends with the test.
func Lance(t testing.TB) *LanceServer {
	t.Helper()
	s, err := startLance(t.Context())
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
func (s *LanceServer) URL() string { return "http://" + local(s.port) }

// Kill ends it by SIGKILL and returns when it is gone.
func (s *LanceServer) Kill() { s.process.kill() }

// Start starts one that was killed, and returns when it answers.
func (s *LanceServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

// Compact rewrites the tables' files into few, and removes those of earlier versions, beside the server, as whoever runs one does.
func (s *LanceServer) Compact(t testing.TB) {
	t.Helper()
	cmd, err := lanceComponent.script(t.Context(), s.dir, "compact.py", lanceCompact, s.data())
	must(t, err)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compact: %v\n%s", err, out)
	}
}

// KeepCompact has a process compact the tables every few seconds until the test ends: without, each commit is slower than the one before.
func (s *LanceServer) KeepCompact(t testing.TB) {
	t.Helper()
	cmd, err := lanceComponent.script(context.WithoutCancel(t.Context()), s.dir, "compact.py", lanceCompact, s.data(), "3")
	must(t, err)
	p, err := launch(cmd, "compact", s.dir)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.tail())
		}
		p.kill()
	})
}

func (s *LanceServer) data() string { return filepath.Join(s.dir, "data") }

func (s *LanceServer) close() {
	s.process.kill()
	_ = os.RemoveAll(s.dir)
}

func startLance(ctx context.Context) (*LanceServer, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &LanceServer{port: ports[0]}
	if s.dir, err = os.MkdirTemp("", "freshet-lance-"); err != nil {
		return nil, fmt.Errorf("make the server's directory: %w", err)
	}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *LanceServer) start(ctx context.Context) error {
	cmd, err := lanceComponent.script(context.WithoutCancel(ctx), s.dir, "server.py", lanceServer, s.data(), fmt.Sprint(s.port))
	if err != nil {
		return err
	}
	p, err := launch(cmd, "lance", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

// answers is true once it lists the tables of the root.
func (s *LanceServer) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/v1/namespace/$/table/list", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %.200s (%w)", answer.StatusCode, text, err)
	}
	return nil
}
