package torture

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// binary builds freshet with crash points.
func binary(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "freshet")
	cmd := exec.Command("go", "build", "-tags", "crashpoints", "-o", bin, "github.com/freshet-dev/freshet/cmd/freshet")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// scene is a flow on a real broker with a Postgres target.
type scene struct {
	t      *testing.T
	bin    string
	broker *testenv.Broker
	db     *testenv.Database
	topic  string
	adm    *kadm.Client
}

const partitions = 6

func newScene(t *testing.T) *scene {
	s := &scene{t: t, broker: testenv.SharedKafka(t), topic: testenv.Name(t) + ".public.docs"}
	s.db = testenv.SharedPostgres(t).NewDatabase(t)
	s.bin = binary(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	s.adm = kadm.NewClient(cl)
	if _, err := s.adm.CreateTopics(t.Context(), partitions, 1, nil, s.topic); err != nil {
		t.Fatal(err)
	}
	return s
}

// flowFile writes a flow of the given name, with a schema of its own in the database.
func (s *scene) flowFile(name string) string {
	path := filepath.Join(s.t.TempDir(), name+".yaml")
	text := fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"] }
sources:
  doc:
    debezium: { topic: "%s" }
    fields: { id: int, rev: int, parts: int, body: string }
models: { lexical: { provider: hash } }
nodes:
  chunks: { op: split.text, in: doc.body, max_tokens: 24, each: chunk }
  vector: { op: embed, in: chunk.text, model: lexical }
tables:
  docs:   { columns: { rev: doc.rev, parts: 'size(chunks)' } }
  chunks: { for: chunk, key: chunk.id, columns: { rev: doc.rev, text: chunk.text, embedding: vector } }
targets:
  db: { postgres: { url: "env:TORTURE_URL", schema: "%s" }, tables: [docs, chunks] }
`, name, s.broker.Addr(), s.topic, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// process is a running freshet.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
	err  error
}

func (s *scene) start(flow, crash string, args ...string) *process {
	s.t.Helper()
	p := &process{done: make(chan struct{})}
	p.cmd = exec.Command(s.bin, append([]string{"run", "-f", flow, "--log-level", "info"}, args...)...)
	p.cmd.Env = append(os.Environ(), "TORTURE_URL="+s.db.URL, "FRESHET_CRASH="+crash)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	s.t.Cleanup(p.kill)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// killed reports whether the process died of SIGKILL rather than by itself.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// until calls fn again and again until it is true; it fails the test after a minute, or when the process ends.
func (s *scene) until(what string, p *process, fn func(context.Context) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !fn(ctx) {
		select {
		case <-tick.C:
		case <-p.done:
			s.t.Fatalf("freshet ended (%v) before: %s\n%s", p.err, what, p.out.String())
		case <-ctx.Done():
			s.t.Fatalf("gave up waiting: %s\n%s", what, p.out.String())
		}
	}
}

// committed returns how many source records the flow has processed.
func (s *scene) committed(ctx context.Context, group string) (n int64) {
	offsets, err := s.adm.FetchOffsets(ctx, group)
	if err != nil {
		return 0
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += max(0, o.At) })
	return n
}

// ongoing reports whether the broker says that the flow's transaction is open.
func (s *scene) ongoing(ctx context.Context, id string) bool {
	described, err := s.adm.DescribeTransactions(ctx, id)
	return err == nil && described[id].Err == nil && described[id].State == "Ongoing"
}

// dies waits until the process was killed at a point.
func (s *scene) dies(p *process, point string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		p.kill()
		s.t.Fatalf("the process never came to %s\n%s", point, p.out.String())
	}
	if !p.killed() {
		s.t.Fatalf("the process ended by itself before %s: %v\n%s", point, p.err, p.out.String())
	}
}
