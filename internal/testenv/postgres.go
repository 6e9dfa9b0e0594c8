package testenv

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresSettings make logical decoding possible and keep a server small. Commits stay as durable as by default.
var postgresSettings = []string{
	"listen_addresses=127.0.0.1",
	"unix_socket_directories=",
	"wal_level=logical",
	"max_wal_senders=10",
	"max_replication_slots=10",
	"shared_buffers=64MB",
	"dynamic_shared_memory_type=mmap", // what a killed server leaves lies in its data directory
}

// PostgresServer is a real Postgres 18 with pgvector on a fixed port and data directory: after Kill or Stop, Start
// brings the same server back. wal_level is logical. Methods are for one goroutine at a time.
type PostgresServer struct {
	dir      string // owned by the user that runs the server
	bin      string
	port     int
	password string
	process  *process
}

// Postgres starts a server of its own for this test; it ends with the test.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := startPostgres(t.Context())
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.process.tail())
		}
		s.close()
	})
	return s
}

// Port is the server's port on 127.0.0.1.
func (s *PostgresServer) Port() int { return s.port }

// User and Password are those of the superuser, whom the server lets in by password only.
func (s *PostgresServer) User() string { return "postgres" }

// Password is made anew for every server.
func (s *PostgresServer) Password() string { return s.password }

// URL names the server's own database `postgres`; a test uses NewDatabase.
func (s *PostgresServer) URL() string { return s.urlOf("postgres") }

// Kill ends the server and all of its backends by SIGKILL and returns when they are gone.
func (s *PostgresServer) Kill() { s.process.killTree() }

// Stop lets the server shut down cleanly, and disconnects its clients.
func (s *PostgresServer) Stop() { s.process.stop(syscall.SIGINT, 30*time.Second) }

// Start starts a server that was killed or stopped, and returns when it answers.
func (s *PostgresServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

func (s *PostgresServer) urlOf(database string) string {
	u := url.URL{Scheme: "postgres", Host: local(s.port), Path: database, RawQuery: "sslmode=disable",
		User: url.UserPassword(s.User(), s.password)}
	return u.String()
}

// startPostgres makes a new data directory and starts a server on it.
func startPostgres(ctx context.Context) (*PostgresServer, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{port: ports[0], password: rand.Text()}
	if err := s.prepare(ctx); err != nil {
		s.close()
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// close ends the server and removes its data.
func (s *PostgresServer) close() {
	s.process.killTree()
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// prepare makes the server's directory and its database cluster.
func (s *PostgresServer) prepare(ctx context.Context) error {
	tree, err := postgresComponent.dir()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "freshet-postgres-"); err != nil {
		return fmt.Errorf("make the server's directory: %w", err)
	}
	if tree, err = giveAway(tree, s.dir); err != nil {
		return err
	}
	s.bin = filepath.Join(tree, "bin")
	passwordFile := filepath.Join(s.dir, "password")
	if err := os.WriteFile(passwordFile, []byte(s.password), 0o644); err != nil {
		return fmt.Errorf("write the server's password: %w", err)
	}
	cmd := s.command(ctx, "initdb", "--pgdata", s.dataDir(), "--username", s.User(), "--pwfile", passwordFile,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make the server's data directory: %w\n%s", err, out)
	}
	return os.Remove(passwordFile)
}

func (s *PostgresServer) start(ctx context.Context) error {
	args := []string{"-D", s.dataDir(), "-p", fmt.Sprint(s.port)}
	for _, setting := range postgresSettings {
		args = append(args, "-c", setting)
	}
	p, err := launch(s.command(context.WithoutCancel(ctx), "postgres", args...), "postgres", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

func (s *PostgresServer) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func (s *PostgresServer) dataDir() string { return filepath.Join(s.dir, "data") }

// command runs one of Postgres's programs as the user that owns the server's directory.
func (s *PostgresServer) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+filepath.Join(filepath.Dir(s.bin), "lib"), "LC_ALL=C.UTF-8", "TZ=UTC")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: serverCredential()}
	return cmd
}
