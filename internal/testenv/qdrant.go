package testenv

import (
	"context"
	_ "embed" // the front
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

//go:embed qdrant_front.py
var qdrantFront []byte

// QdrantOptions change how a front serves. The zero value is a front without API key and TLS.
type QdrantOptions struct {
	Version    string // that it says it is of; default 1.18.0
	APIKeyFile string // holds the API key that requests must carry, read at each
	Cert, Key  string // PEM files for TLS
}

// QdrantServer is Qdrant's own engine behind a test front that speaks a server's gRPC: no registry ships the server
// itself. It has a fixed port and data directory: after Kill, Start brings the same one back. Methods are for one
// goroutine at a time.
type QdrantServer struct {
	options QdrantOptions
	dir     string
	port    int
	process *process
}

// Qdrant starts a front of its own for this test; it ends with the test.
func Qdrant(t testing.TB, o QdrantOptions) *QdrantServer {
	t.Helper()
	s, err := startQdrant(t.Context(), o)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.process.tail())
		}
		s.close()
	})
	return s
}

// URL is where it serves gRPC.
func (s *QdrantServer) URL() string {
	if s.options.Cert != "" {
		return "https://" + local(s.port)
	}
	return "http://" + local(s.port)
}

// Kill ends it by SIGKILL and returns when it is gone.
func (s *QdrantServer) Kill() { s.process.kill() }

// Start starts one that was killed, and returns when it answers.
func (s *QdrantServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

// Hold holds the next upsert to a collection up, as a host or a network may, and returns the port of the client whose it is. It is done
// when release is called.
func (s *QdrantServer) Hold(ctx context.Context, collection string) (port int, release func() error, err error) {
	hold, held := filepath.Join(s.data(), "hold"), filepath.Join(s.data(), "held")
	if err := os.WriteFile(hold+".new", []byte(collection), 0o644); err != nil {
		return 0, nil, err
	}
	if err := os.Rename(hold+".new", hold); err != nil {
		return 0, nil, err
	}
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(held)
		if err == nil {
			port, err = strconv.Atoi(string(text))
			return port, func() error { return os.Remove(held) }, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, nil, fmt.Errorf("no upsert to collection %s came: %w", collection, ctx.Err())
		}
	}
}

func (s *QdrantServer) data() string { return filepath.Join(s.dir, "data") }

func (s *QdrantServer) close() {
	s.process.kill()
	_ = os.RemoveAll(s.dir)
}

func startQdrant(ctx context.Context, o QdrantOptions) (*QdrantServer, error) {
	if o.Version == "" {
		o.Version = "1.18.0"
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &QdrantServer{options: o, port: ports[0]}
	if s.dir, err = os.MkdirTemp("", "freshet-qdrant-"); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *QdrantServer) start(ctx context.Context) error {
	args := []string{"--data", s.data(), "--port", fmt.Sprint(s.port), "--version", s.options.Version}
	if s.options.APIKeyFile != "" {
		args = append(args, "--api-key-file", s.options.APIKeyFile)
	}
	if s.options.Cert != "" {
		args = append(args, "--tls-cert", s.options.Cert, "--tls-key", s.options.Key)
	}
	cmd, err := qdrantComponent.script(context.WithoutCancel(ctx), s.dir, "front.py", qdrantFront, args...)
	if err != nil {
		return err
	}
	p, err := launch(cmd, "qdrant", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

// answers is true once it listens, which it does when its collections are loaded.
func (s *QdrantServer) answers(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", local(s.port))
	if err != nil {
		return err
	}
	return conn.Close()
}
