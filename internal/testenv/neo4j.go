package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
)

// Neo4jServer is a real Neo4j 5 community server. It has a fixed port, data directory and password: after Kill, Start brings the same
// one back. Methods are for one goroutine at a time.
type Neo4jServer struct {
	dir      string
	port     int
	password string
	process  *process
}

// Neo4j starts a server of its own for this test; it ends with the test.
func Neo4j(t testing.TB) *Neo4jServer {
	t.Helper()
	s, err := startNeo4j(t.Context())
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.process.tail())
		}
		s.close()
	})
	return s
}

// URL is where it serves, without user and password.
func (s *Neo4jServer) URL() string { return "bolt://" + s.Addr() }

// Addr is its host and port.
func (s *Neo4jServer) Addr() string { return local(s.port) }

// User is the one that the server begins with.
func (s *Neo4jServer) User() string { return "neo4j" }

// Password is made anew for every server.
func (s *Neo4jServer) Password() string { return s.password }

// Kill ends it by SIGKILL, since it takes its time to stop, and returns when it is gone.
func (s *Neo4jServer) Kill() { s.process.killTree() }

// Start starts one that was killed, and returns when it answers.
func (s *Neo4jServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

func (s *Neo4jServer) close() {
	s.process.killTree()
	_ = os.RemoveAll(s.dir)
}

func startNeo4j(ctx context.Context) (*Neo4jServer, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &Neo4jServer{port: ports[0], password: rand.Text()}
	if s.dir, err = os.MkdirTemp("", "freshet-neo4j-"); err != nil {
		return nil, err
	}
	if err = s.configure(); err == nil {
		err = s.start(ctx)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// configure writes the settings: the database is small, and served by Bolt alone.
func (s *Neo4jServer) configure() error {
	conf := filepath.Join(s.dir, "conf")
	if err := os.Mkdir(conf, 0o755); err != nil {
		return err
	}
	text := propertyLines(map[string]string{
		"server.default_listen_address":  "127.0.0.1",
		"server.bolt.enabled":            "true",
		"server.bolt.listen_address":     s.Addr(),
		"server.bolt.advertised_address": s.Addr(),
		"server.http.enabled":            "false",
		"server.https.enabled":           "false",
		"server.memory.pagecache.size":   "64m",
		"dbms.usage_report.enabled":      "false",
		"db.tx_log.preallocate":          "false",
	})
	return os.WriteFile(filepath.Join(conf, "neo4j.conf"), []byte(text), 0o600)
}

func (s *Neo4jServer) start(ctx context.Context) error {
	java, classPath, err := neo4jComponent.jars()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), java, "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/java.io=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
		"--add-opens=java.base/java.util.concurrent=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
		"-cp", classPath, "org.neo4j.server.CommunityEntryPoint", "--home-dir="+s.dir, "--config-dir="+filepath.Join(s.dir, "conf"))
	p, err := launch(cmd, "neo4j", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

// answers is true once the server lets the user in by our password, which a new server is given now.
func (s *Neo4jServer) answers(ctx context.Context) error {
	err := s.run(ctx, s.password, "neo4j", "RETURN 1", nil)
	var refusal *neo4j.Neo4jError
	if !errors.As(err, &refusal) || !refusal.IsAuthenticationFailed() {
		return err
	}
	const initial = "neo4j"
	return s.run(ctx, initial, "system", "ALTER CURRENT USER SET PASSWORD FROM $old TO $new", map[string]any{"old": initial, "new": s.password})
}

// run executes one statement, once.
func (s *Neo4jServer) run(ctx context.Context, password, database, cypher string, args map[string]any) error {
	d, err := neo4j.NewDriverWithContext(s.URL(), neo4j.BasicAuth(s.User(), password, ""))
	if err != nil {
		return err
	}
	defer d.Close(ctx)
	session := d.NewSession(ctx, neo4j.SessionConfig{DatabaseName: database})
	defer session.Close(ctx)
	result, err := session.Run(ctx, cypher, args)
	if err == nil {
		_, err = result.Consume(ctx)
	}
	if err != nil {
		return fmt.Errorf("ask the server at %s: %w", s.Addr(), err)
	}
	return nil
}
