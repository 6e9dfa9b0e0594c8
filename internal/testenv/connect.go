package testenv

import (
	"context"
	_ "embed" // connect.properties
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

//go:embed connect.properties
var connectProperties string

// Worker is a real Kafka Connect worker (distributed mode) with Debezium's Postgres connector, on a fixed port: after
// Kill or Stop, Start brings the same worker back, and it takes up its connectors from Kafka. Methods are for one
// goroutine at a time.
type Worker struct {
	dir     string
	port    int
	broker  string
	process *process
}

// Connect starts a worker of its own for this test, which keeps its state in broker; it ends with the test.
func Connect(t testing.TB, broker *Broker) *Worker {
	t.Helper()
	w, err := startConnect(t.Context(), broker.Addr())
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(w.process.tail())
		}
		w.close()
	})
	return w
}

// URL is the address of the worker's REST interface.
func (w *Worker) URL() string { return "http://" + local(w.port) }

// Kill ends the worker by SIGKILL and returns when it is gone.
func (w *Worker) Kill() { w.process.kill() }

// Stop lets the worker shut down cleanly, and returns when it has ended.
func (w *Worker) Stop() { w.process.stop(syscall.SIGTERM, 30*time.Second) }

// Start starts a worker that was killed or stopped, and returns when it answers.
func (w *Worker) Start(t testing.TB) {
	t.Helper()
	must(t, w.start(t.Context()))
}

func startConnect(ctx context.Context, broker string) (*Worker, error) {
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "freshet-connect-")
	if err != nil {
		return nil, fmt.Errorf("make the worker's directory: %w", err)
	}
	w := &Worker{dir: dir, port: ports[0], broker: broker}
	if err := w.configure(); err != nil {
		w.close()
		return nil, err
	}
	if err := w.start(ctx); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// close ends the worker and removes its files.
func (w *Worker) close() {
	w.process.kill()
	_ = os.RemoveAll(w.dir)
}

func (w *Worker) configure() error {
	plugins, err := debeziumComponent.dir()
	if err != nil {
		return err
	}
	place := map[string]string{
		"bootstrap.servers":    w.broker,
		"group.id":             "connect",
		"config.storage.topic": "connect.configs",
		"offset.storage.topic": "connect.offsets",
		"status.storage.topic": "connect.status",
		"listeners":            w.URL(),
		"plugin.path":          plugins,
	}
	text := connectProperties + propertyLines(place)
	if err := os.WriteFile(w.propertiesFile(), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the worker's settings: %w", err)
	}
	return nil
}

func (w *Worker) start(ctx context.Context) error {
	java, classPath, err := connectComponent.jars()
	if err != nil {
		return err
	}
	cmd := exec.Command(java, "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classPath, "org.apache.kafka.connect.cli.ConnectDistributed", w.propertiesFile())
	cmd.Dir = w.dir
	p, err := launch(cmd, "connect", w.dir)
	if err != nil {
		return err
	}
	w.process = p
	return ready(ctx, p, w.answers)
}

// answers reports whether the worker has joined its group: before that it can't list its connectors.
func (w *Worker) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var names []string
	return w.call(ctx, "GET", "/connectors", nil, &names)
}

func (w *Worker) propertiesFile() string { return filepath.Join(w.dir, "connect.properties") }
