//go:build bench

package backfill

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"modernc.org/sqlite"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const (
	topic      = "desk.public.tickets"
	partitions = 4
)

// flowText has a rule, which is all that its revisions differ in: each computes every vector anew.
const flowText = `flow: backfill
kafka: { brokers: ["%s"] }
sources:
  ticket:
    debezium: { topic: ` + topic + ` }
    fields: { id: int, title: string, body: string, edition: int }
models: { stub: { provider: openai, base_url: "%s/v1", model: stub, dimensions: %d, batch: %d } }
nodes:
  input:  { op: expr, in: '"%[5]s: " + ticket.title + "\n" + ticket.body' }
  vector: { op: embed, in: input, model: stub }
tables:
  tickets:
    columns: { id: ticket.id, title: ticket.title, edition: ticket.edition, rule: '"%[5]s"', vector: vector }
targets:
  local: { sqlite: { path: tickets.db }, tables: [tickets] }
`

// sizes are what may be varied.
type sizes struct {
	documents int
	edits     int           // a second
	batch     int           // inputs of one request
	service   time.Duration // of one request
}

// scene is a topic of tickets, a model, a flow over both as a process of its own, and a reader of its target.
type scene struct {
	sizes
	t       *testing.T
	cl      *kgo.Client
	broker  string
	model   string
	dir     string
	db      *sql.DB
	edition int
	out     bytes.Buffer
	ended   chan struct{} // closed when freshet has
}

func newScene(t *testing.T, of sizes) *scene {
	broker := testenv.Kafka(t, testenv.KafkaOptions{})
	server := httptest.NewServer(newModel(of.service))
	t.Cleanup(server.Close)
	s := &scene{sizes: of, t: t, broker: broker.Addr(), model: server.URL, dir: t.TempDir(), ended: make(chan struct{})}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker), kgo.DefaultProduceTopic(topic), kgo.DisableClientMetrics(), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	s.cl = cl
	if _, err := kadm.NewClient(cl).CreateTopics(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	return s
}

// fill writes each document once.
func (s *scene) fill() {
	s.t.Helper()
	first := kgo.AbortingFirstErrPromise(s.cl)
	for id := range s.documents {
		s.cl.Produce(s.t.Context(), ticket(id, 0), first.Promise())
	}
	if err := s.cl.Flush(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	if err := first.Err(); err != nil {
		s.t.Fatal(err)
	}
}

// produce writes a document's next edition; it does not wait for the broker.
func (s *scene) produce(id, edition int) {
	s.cl.Produce(s.t.Context(), ticket(id, edition), func(_ *kgo.Record, err error) {
		if err != nil {
			s.t.Error(err)
		}
	})
}

// ticket is what the Postgres connector writes, without schemas.
func ticket(id, edition int) *kgo.Record {
	op := "u"
	if edition == 0 {
		op = "c"
	}
	body := strings.Repeat(fmt.Sprintf("What ticket %d says in edition %d is said at length. ", id, edition), 12)
	return &kgo.Record{Key: fmt.Appendf(nil, `{"id":%d}`, id), Value: fmt.Appendf(nil, `{"before":null,"after":{"id":%d,"title":"Ticket %[1]d",`+
		`"body":"%s","edition":%d},"source":{"connector":"postgresql","lsn":%d,"ts_ms":%d},"op":"%s","ts_ms":%[5]d}`,
		id, body, edition, edition+1, time.Now().UnixMilli(), op)}
}

// write writes the flow file with a rule, and returns its path.
func (s *scene) write(rule string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, "backfill.yaml")
	if err := os.WriteFile(path, fmt.Appendf(nil, flowText, s.broker, s.model, dimensions, s.batch, rule), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// freshet is the program under measurement, with what it is told. It needs a credential to send; the model reads none.
func (s *scene) freshet(args ...string) *exec.Cmd {
	s.t.Helper()
	bin := os.Getenv("FRESHET_BIN")
	if bin == "" {
		s.t.Fatal("FRESHET_BIN is not set: run bench/run.sh")
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// start runs the flow, and opens its target.
func (s *scene) start(rule string) {
	s.t.Helper()
	cmd := s.freshet("run", "-f", s.write(rule))
	cmd.Stdout, cmd.Stderr = &s.out, &s.out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // that it ended is what counts
		close(s.ended)
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-s.ended
		if s.t.Failed() {
			s.t.Log(s.out.String())
		}
	})
	s.db = sql.OpenDB(reader{filepath.Join(s.dir, "tickets.db")})
	s.t.Cleanup(func() { _ = s.db.Close() }) // it only read
}

// apply makes the flow with another rule the one that runs. It takes a few seconds until the process has seen it.
func (s *scene) apply(rule string) {
	s.t.Helper()
	if out, err := s.freshet("apply", "-f", s.write(rule), "--yes").CombinedOutput(); err != nil {
		s.t.Fatalf("%v: %s", err, out)
	}
}

// await returns when so many documents are shown by the rule.
func (s *scene) await(rule string, n int) { s.t.Helper(); s.reach(rule, n) }

// reach returns how many documents were shown by the rule when first at least n were, and when that was. It may be called
// beside the test's own goroutine.
func (s *scene) reach(rule string, n int) (shown int, at time.Time) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.db.QueryRowContext(ctx, `select count(*) from tickets where rule = ?`, rule).Scan(&shown)
		if err == nil && shown >= n {
			return shown, time.Now()
		}
		select {
		case <-tick.C:
		case <-s.ended:
			s.t.Error("freshet ended")
			return shown, time.Now()
		case <-ctx.Done():
			s.t.Errorf("%d of %d documents are shown by rule %s (%v)", shown, n, rule, err)
			return shown, time.Now()
		}
	}
}

// settled checks that nothing is left as an earlier rule had it.
func (s *scene) settled(rule string) {
	s.t.Helper()
	s.await(rule, s.documents)
	var all int
	if err := s.db.QueryRowContext(s.t.Context(), `select count(*) from tickets`).Scan(&all); err != nil || all != s.documents {
		s.t.Errorf("%d rows of %d documents (%v)", all, s.documents, err)
	}
}

// after closes its channel when the time has passed.
func (s *scene) after(d time.Duration) <-chan struct{} {
	ended := make(chan struct{})
	time.AfterFunc(d, func() { close(ended) })
	return ended
}

// reader opens a SQLite file that it never writes.
type reader struct{ path string }

// Driver implements driver.Connector.
func (reader) Driver() driver.Driver { return &sqlite.Driver{} }

// Connect implements driver.Connector.
func (r reader) Connect(context.Context) (driver.Conn, error) {
	return r.Driver().Open("file:" + r.path + "?mode=ro&_pragma=busy_timeout(1000)")
}
