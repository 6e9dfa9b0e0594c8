package testenv

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// OpenSearchServer is a real OpenSearch node with the k-NN plugin, without security. It has a fixed port and data directory: after
// Kill, Start brings the same one back. Methods are for one goroutine at a time.
type OpenSearchServer struct {
	dir             string
	port, transport int
	process         *process
}

// OpenSearch starts a node of its own for this test; it ends with the test.
func OpenSearch(t testing.TB) *OpenSearchServer {
	t.Helper()
	s, err := startOpenSearch(t.Context())
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
func (s *OpenSearchServer) URL() string { return "http://" + local(s.port) }

// Kill ends it by SIGKILL and returns when it is gone.
func (s *OpenSearchServer) Kill() { s.process.kill() }

// Start starts one that was killed, and returns when it has read its indexes.
func (s *OpenSearchServer) Start(t testing.TB) {
	t.Helper()
	must(t, s.start(t.Context()))
}

func (s *OpenSearchServer) close() {
	s.process.kill()
	_ = os.RemoveAll(s.dir)
}

func startOpenSearch(ctx context.Context) (*OpenSearchServer, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	s := &OpenSearchServer{port: ports[0], transport: ports[1]}
	if s.dir, err = os.MkdirTemp("", "freshet-opensearch-"); err != nil {
		return nil, fmt.Errorf("make the node's directory: %w", err)
	}
	if err := s.start(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *OpenSearchServer) start(ctx context.Context) error {
	java, classPath, err := openSearch.jars()
	if err != nil {
		return err
	}
	// What its class path names ends with the directory of what starts it.
	cmd := exec.Command(java, "-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=WARN",
		"-cp", classPath+string(os.PathListSeparator)+filepath.Dir(classPath), "OpenSearch",
		"path.home="+s.dir, "path.data="+filepath.Join(s.dir, "data"), "node.name=only", "cluster.name=freshet", "discovery.type=single-node",
		"http.type=netty4", "transport.type=netty4", "network.host=127.0.0.1", fmt.Sprintf("http.port=%d", s.port), fmt.Sprintf("transport.port=%d", s.transport),
		"cluster.routing.allocation.disk.threshold_enabled=false", "cluster.max_shards_per_node=5000", "node.processors=2")
	cmd.Dir = s.dir
	p, err := launch(cmd, "opensearch", s.dir)
	if err != nil {
		return err
	}
	s.process = p
	return ready(ctx, p, s.answers)
}

// answers reports whether every index can be written: it answers before it has read them.
func (s *OpenSearchServer) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/_cluster/health?wait_for_status=yellow&timeout=5s", nil)
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
