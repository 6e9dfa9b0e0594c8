package testenv

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// RedisOptions change how a server is configured. The zero value is a server without persistence, password and TLS.
type RedisOptions struct {
	Durable   bool     // every write is in the append-only file before it is answered
	Cert, Key string   // PEM files for TLS, which then is all that it serves
	Settings  []string // further ones, as in redis.conf: "maxmemory 10mb"
}

// RedisServer is a real Redis server. It has a fixed port and data directory: after Kill, Start brings the same one back, with
// what it has made durable. Methods are for one goroutine at a time.
type RedisServer struct {
	options RedisOptions
	dir     string
	port    int
	bus     int // where it would talk to others of a cluster
	process *process
}

// Redis starts a server of its own for this test; it ends with the test.
func Redis(t testing.TB, o RedisOptions) *RedisServer {
	t.Helper()
	s, err := startRedis(t.Context(), o)
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
func (s *RedisServer) URL() string {
	if s.options.Cert != "" {
		return "rediss://" + local(s.port)
	}
	return "redis://" + local(s.port)
}

// Addr is its host and port.
func (s *RedisServer) Addr() string { return local(s.port) }

// Kill ends it by SIGKILL and returns when it is gone.
func (s *RedisServer) Kill() { s.process.killTree() }

// Start starts one that was killed, and returns when it answers.
func (s *RedisServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

func (s *RedisServer) close() {
	s.process.killTree()
	_ = os.RemoveAll(s.dir)
}

func startRedis(ctx context.Context, o RedisOptions) (*RedisServer, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &RedisServer{options: o, port: ports[0], bus: ports[1]}
	if s.dir, err = os.MkdirTemp("", "freshet-redis-"); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *RedisServer) start(ctx context.Context) error {
	tree, err := redisComponent.dir()
	if err != nil {
		return err
	}
	file := filepath.Join(s.dir, "redis.conf")
	if err := os.WriteFile(file, []byte(s.config()), 0o600); err != nil {
		return fmt.Errorf("write the server's settings: %w", err)
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), filepath.Join(tree, "bin", "redis-server"), file)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(tree, "lib"))
	p, err := launch(cmd, "redis", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

func (s *RedisServer) config() string {
	lines := []string{"bind 127.0.0.1", "dir " + s.dir, `save ""`, "appendonly no", fmt.Sprintf("cluster-port %d", s.bus)}
	if s.options.Durable {
		lines = append(lines, "appendonly yes", "appendfsync always")
	}
	if s.options.Cert != "" {
		lines = append(lines, "port 0", fmt.Sprintf("tls-port %d", s.port), "tls-auth-clients no",
			"tls-cert-file "+s.options.Cert, "tls-key-file "+s.options.Key)
	} else {
		lines = append(lines, fmt.Sprintf("port %d", s.port))
	}
	return strings.Join(append(lines, s.options.Settings...), "\n") + "\n"
}

// answers is true once it takes commands: it listens before it has read its data. With TLS it has none to read.
func (s *RedisServer) answers(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", local(s.port))
	if err != nil || s.options.Cert != "" {
		if err == nil {
			err = conn.Close()
		}
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && strings.HasPrefix(line, "-LOADING") {
		err = fmt.Errorf("it says %q", strings.TrimSpace(line))
	}
	return err
}
