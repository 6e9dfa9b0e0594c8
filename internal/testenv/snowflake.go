package testenv

import (
	"context"
	_ "embed" // the front
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

//go:embed snowflake_front.py
var snowflakeFront []byte

// SnowflakeOptions change how the emulator serves. The zero value lets everybody in, without TLS, and keeps databases in memory.
type SnowflakeOptions struct {
	Kept          bool          // databases lie in files, and survive Kill
	IdleLimit     time.Duration // for which a transaction may stand still while others wait for its locks; five minutes when 0, as in Snowflake
	PasswordFile  string        // holds the password, read at each login
	PublicKeyFile string        // PEM of the public key that signs in, read at each login
	Cert, Key     string        // PEM files for TLS
}

// SnowflakeServer is fakesnow, an emulator of Snowflake over DuckDB, behind a front that makes up for some of what it lacks. It has a fixed port:
// after Kill, Start brings the same one back. Methods are for one goroutine at a time.
type SnowflakeServer struct {
	options SnowflakeOptions
	dir     string
	port    int
	process *process
}

// Snowflake starts an emulator of its own for this test; it ends with the test.
func Snowflake(t testing.TB, o SnowflakeOptions) *SnowflakeServer {
	t.Helper()
	s, err := startSnowflake(t.Context(), o)
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
func (s *SnowflakeServer) URL() string {
	if s.options.Cert != "" {
		return "https://" + local(s.port)
	}
	return "http://" + local(s.port)
}

// Database is the one that is there from the start.
func (s *SnowflakeServer) Database() string { return "FRESHET" }

// Kill ends it by SIGKILL and returns when it is gone.
func (s *SnowflakeServer) Kill() { s.process.kill() }

// Start starts one that was killed, and returns when it answers.
func (s *SnowflakeServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

func (s *SnowflakeServer) close() {
	s.process.kill()
	_ = os.RemoveAll(s.dir)
}

func startSnowflake(ctx context.Context, o SnowflakeOptions) (*SnowflakeServer, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &SnowflakeServer{options: o, port: ports[0]}
	if s.dir, err = os.MkdirTemp("", "freshet-snowflake-"); err != nil {
		return nil, err
	}
	if err = os.Mkdir(filepath.Join(s.dir, "data"), 0o755); err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *SnowflakeServer) start(ctx context.Context) error {
	args := []string{"--port", fmt.Sprint(s.port), "--database", s.Database(), "--password-file", s.options.PasswordFile,
		"--public-key-file", s.options.PublicKeyFile}
	if s.options.IdleLimit > 0 {
		args = append(args, "--idle-limit", fmt.Sprint(s.options.IdleLimit.Seconds()))
	}
	if s.options.Kept {
		args = append(args, "--data", filepath.Join(s.dir, "data"))
	}
	if s.options.Cert != "" {
		args = append(args, "--tls-cert", s.options.Cert, "--tls-key", s.options.Key)
	}
	cmd, err := fakesnowComponent.script(context.WithoutCancel(ctx), s.dir, "front.py", snowflakeFront, args...)
	if err != nil {
		return err
	}
	p, err := launch(cmd, "snowflake", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

// answers is true once it listens, which it does when its databases are there.
func (s *SnowflakeServer) answers(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", local(s.port))
	if err != nil {
		return err
	}
	return conn.Close()
}
