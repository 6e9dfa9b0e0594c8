// Package brokertest holds the tests of the Kafka layer that the in-process broker can't show, on a real one: markers that
// are written after a commit was answered, positions of control records, feature levels, sizes, zombies.
package brokertest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

const partitions = 4

// echo is a program with one row per document, which repeats its content.
type echo struct{ flow string }

func (e echo) Flow() string                           { return e.flow }
func (echo) Logic() stream.Fingerprint                { return stream.FingerprintBytes([]byte("echo")) }
func (echo) ReadsRecord() bool                        { return false }
func (echo) TableLineage(string) []stream.NodeLineage { return nil }
func (echo) Nodes() []string                          { return nil }
func (echo) Tables() []stream.Table {
	return []stream.Table{{Name: "echo", Columns: []stream.Field{{Name: "content", Type: stream.TypeString}}}}
}

func (echo) ReadSet(d stream.Document) stream.Fingerprint {
	return stream.FingerprintOf(d.Input.Field("content"))
}

func (echo) Evaluate(_ context.Context, d stream.Document, _ stream.Calls) ([]stream.Row, error) {
	return []stream.Row{{Table: "echo", Columns: []stream.Value{d.Input.Field("content")}}}, nil
}

// disk is a machine's state; its stores are in memory, so that a test can copy them.
type disk struct {
	mu     sync.Mutex
	stores map[int32]*statestore.Memory
}

func newDisk() *disk { return &disk{stores: map[int32]*statestore.Memory{}} }

func (d *disk) Open(p int32) (kafka.Store, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stores[p] == nil {
		d.stores[p] = statestore.NewMemory()
	} else {
		d.stores[p] = d.stores[p].Reopen()
	}
	return d.stores[p], nil
}

func (d *disk) Wipe(p int32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.stores, p)
	return nil
}

// copied is what a copy of the disk would hold now.
func (d *disk) copied(t *testing.T) *disk {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	out := newDisk()
	for p, s := range d.stores {
		out.stores[p] = s.Copy()
	}
	return out
}

// scene is a flow on a real broker, with a model of its source.
type scene struct {
	*testing.T
	cluster kafka.Cluster
	topics  kafka.Topics
	source  kafka.Source
	flow    string
	adm     *kadm.Client
	files   map[string]string
}

func newScene(t *testing.T, broker *testenv.Broker) *scene {
	t.Helper()
	s := &scene{T: t, flow: testenv.Name(t), files: map[string]string{}}
	s.source = kafka.Source{Topic: s.flow + ".files.page", Ours: true, Planned: partitions}
	s.cluster = kafka.Cluster{Brokers: []string{broker.Addr()}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if err := s.cluster.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.ensure()
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.MetadataMinAge(100*time.Millisecond), kgo.DisableClientMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	s.adm = kadm.NewClient(cl)
	return s
}

func (s *scene) ensure() {
	s.Helper()
	var err error
	if s.topics, err = s.cluster.EnsureTopics(s.Context(), s.flow, s.source); err != nil {
		s.Fatal(err)
	}
}

// process is a running processor.
type process struct {
	proc  *kafka.Processor
	done  chan struct{}
	err   error
	abort context.CancelFunc
	ev    *engine.Evaluator
}

// start runs a processor of replica 0 on a disk, until the process is stopped.
func (s *scene) start(d *disk, change ...func(*kafka.ProcessorConfig)) *process {
	ctx, cancel := context.WithCancel(context.Background())
	totals := &engine.Totals{}
	p := &process{done: make(chan struct{}), abort: cancel, ev: engine.NewEvaluator(ctx, echo{s.flow}, totals, engine.Events{})}
	c := kafka.ProcessorConfig{Cluster: s.cluster, Topics: s.topics, TransactionalID: s.flow + ".processor.0", Instance: "0",
		Engine:    engine.Config{Program: echo{s.flow}, Source: "page", Decoder: schemas.NewFiles("page"), Now: func() int64 { return time.Now().UnixNano() }},
		Evaluator: p.ev, Totals: totals, Stores: d}
	for _, f := range change {
		f(&c)
	}
	p.proc = kafka.NewProcessor(c)
	go func() {
		p.err = p.proc.Run(ctx)
		close(p.done)
	}()
	s.Cleanup(func() { _ = p.stop() })
	return p
}

func (p *process) stop() error {
	p.abort()
	<-p.done
	p.ev.Wait()
	return p.err
}

func (s *scene) end(p *process) {
	s.Helper()
	if err := p.stop(); err != nil {
		s.Fatal(err)
	}
}

// load writes n changes.
func (s *scene) load(round, n int) {
	s.Helper()
	var records []stream.Record
	for i := range n {
		path := fmt.Sprintf("%03d.md", i)
		e := schemas.FileEvent{Source: "page", Path: path, Op: schemas.FileDelete}
		delete(s.files, path)
		if (i+round)%5 > 0 {
			s.files[path] = fmt.Sprint(path, " in round ", round*((i+round)%2))
			e = schemas.FileEvent{Source: "page", Path: path, Content: []byte(s.files[path]), Size: int64(len(s.files[path]))}
		}
		records = append(records, schemas.EncodeFile(e))
	}
	s.publish(records...)
}

func (s *scene) publish(records ...stream.Record) {
	s.Helper()
	p, err := s.cluster.OpenPublisher(s.source.Topic)
	if err != nil {
		s.Fatal(err)
	}
	defer p.Close()
	if err := p.Publish(s.Context(), records); err != nil {
		s.Fatal(err)
	}
}

// until waits until done, for two minutes at most.
func (s *scene) until(what string, done func() bool) {
	s.Helper()
	deadline := time.After(2 * time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatal("gave up waiting: " + what)
		}
	}
}

// settle waits until everything in the source is processed.
func (s *scene) settle(p *process) {
	s.Helper()
	s.until("the processor catches up", func() bool {
		select {
		case <-p.done:
			s.Fatalf("the process ended: %v", p.err)
		default:
		}
		left, err := s.cluster.SourceEnds(s.Context(), s.topics)
		if err != nil {
			s.Log(err) // a busy broker may be without a leader for a moment
			return false
		}
		for _, part := range p.proc.Status() {
			if part.State == "ready" && !part.Busy && part.Next >= left[part.Partition] {
				delete(left, part.Partition)
			}
		}
		return len(left) == 0
	})
}

// expect compares the rows topic, as a target would read it, with the source's files.
func (s *scene) expect() {
	s.Helper()
	rows := map[string]string{}
	tables := map[string]stream.Table{"echo": echo{}.Tables()[0]}
	for _, r := range s.records(s.flow + ".rows") {
		rec := &stream.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, stream.Header{Key: h.Key, Value: h.Value})
		}
		if _, _, _, _, ok := schemas.RowHeader(rec); !ok {
			continue // a mark
		}
		w, _, _, err := schemas.DecodeRow(rec, tables)
		if err != nil {
			s.Fatal(err)
		}
		path := strings.TrimPrefix(w.Document, "page/")
		if w.Delete {
			if _, there := rows[path]; !there {
				s.Errorf("%s is deleted twice, at offset %d of partition %d", path, r.Offset, r.Partition)
			}
			delete(rows, path)
			continue
		}
		if rows[path] == w.Columns[0].Str() {
			s.Errorf("%s is written twice, at offset %d of partition %d", path, r.Offset, r.Partition)
		}
		rows[path] = w.Columns[0].Str()
	}
	for path, want := range s.files {
		if rows[path] != want {
			s.Errorf("%s: the row says %q, want %q", path, rows[path], want)
		}
	}
	if len(rows) != len(s.files) {
		s.Errorf("%d rows, want %d", len(rows), len(s.files))
	}
}

// records reads the committed records of a whole topic, each partition in order.
func (s *scene) records(topic string) (out []*kgo.Record) {
	s.Helper()
	// The high watermark: the broker may write the marker of a transaction some time after it said that it ended.
	ends, err := s.adm.ListEndOffsets(s.Context(), topic)
	if err != nil {
		s.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.Brokers...), kgo.ConsumeTopics(topic), kgo.DisableClientMetrics(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.Fatal(err)
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(s.Context())
		if err := fetches.Err0(); err != nil {
			s.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
		})
	}
	return out
}

// entries counts the changelog's records other than progress.
func (s *scene) entries() (n int64) {
	s.Helper()
	return int64(len(slices.DeleteFunc(s.records(s.flow+".changelog"), func(r *kgo.Record) bool { return string(r.Key) == schemas.ProgressKey })))
}
