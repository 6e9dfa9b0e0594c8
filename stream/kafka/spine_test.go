package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
	"github.com/freshet-dev/freshet/stream/kafka/embedded"
)

// lines is a program with one row per line of a file's content, and one costly node that shouts the line.
type lines struct {
	shout *stream.Node
}

func newLines() *lines {
	return &lines{shout: &stream.Node{Name: "shout", Operator: shouter{}, Costly: true, Memo: stream.FingerprintBytes([]byte("shout1"))}}
}

type shouter struct{}

func (shouter) BatchSize() int { return 3 }

func (shouter) Apply(_ context.Context, in []stream.Value) ([]stream.Value, error) {
	out := make([]stream.Value, len(in))
	for i, v := range in {
		if strings.Contains(v.Str(), "bad") {
			return nil, stream.Errorf(stream.Invalid, "shout", "%q is not allowed", v.Str())
		}
		out[i] = stream.StringOf(strings.ToUpper(v.Str()))
	}
	return out, nil
}

func (*lines) Flow() string                             { return "lines" }
func (*lines) Logic() stream.Fingerprint                { return stream.FingerprintBytes([]byte("lines1")) }
func (*lines) ReadsRecord() bool                        { return false }
func (*lines) TableLineage(string) []stream.NodeLineage { return nil }
func (*lines) Nodes() []string                          { return []string{"shout"} }
func (*lines) ReadSet(d stream.Document) stream.Fingerprint {
	return stream.FingerprintOf(d.Input.Field("content"))
}
func (*lines) Tables() []stream.Table {
	return []stream.Table{{Name: "lines", Columns: []stream.Field{{Name: "loud", Type: stream.TypeString}}}}
}

func (l *lines) Evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	var in []stream.Value
	for line := range strings.Lines(d.Input.Field("content").Str()) {
		in = append(in, stream.StringOf(strings.TrimSpace(line)))
	}
	out, err := calls.Call(ctx, l.shout, in)
	if err != nil {
		return nil, err
	}
	var rows []stream.Row
	for i, v := range in {
		rows = append(rows, stream.Row{Table: "lines", Key: v.Str(), Columns: []stream.Value{out[i]}})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Key < rows[j].Key })
	return rows, nil
}

// shelf is a target in memory.
type shelf struct {
	mu      sync.Mutex
	rows    map[stream.RowID]stream.RowWrite
	applied map[int32]stream.Applied
}

func newShelf() *shelf {
	return &shelf{rows: map[stream.RowID]stream.RowWrite{}, applied: map[int32]stream.Applied{}}
}

func (s *shelf) Open(context.Context, string, string) ([]string, error) { return nil, nil }
func (s *shelf) Recreate(context.Context, []string) error               { return nil }
func (s *shelf) Release(int32)                                          {}
func (s *shelf) Close() error                                           { return nil }

func (s *shelf) Assign(_ context.Context, p int32, _ stream.Origin) (stream.Applied, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied[p], nil
}

func (s *shelf) Adopt(_ context.Context, p int32, o stream.Origin, next int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applied[p] = stream.Applied{TopicID: o.TopicID, Generation: o.Generation, Next: next}
	return nil
}

func (s *shelf) Apply(_ context.Context, b stream.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.applied[b.Partition]
	if a.Next != b.From {
		return stream.Errorf(stream.Fenced, "apply", "next is %d, the batch begins at %d", a.Next, b.From)
	}
	for _, u := range b.Units {
		for _, w := range u.Rows {
			if w.Delete {
				delete(s.rows, w.RowID)
				continue
			}
			s.rows[w.RowID] = w
		}
	}
	a.Next = b.To
	s.applied[b.Partition] = a
	return nil
}

func (s *shelf) StartRebuild(context.Context, int32, int64) error          { return nil }
func (s *shelf) Stage(context.Context, stream.Batch) error                 { return nil }
func (s *shelf) Switch(context.Context, int32, int64) error                { return nil }
func (s *shelf) Sweep(context.Context, int32, int32, stream.Version) error { return nil }

func (s *shelf) list() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for id, w := range s.rows {
		out = append(out, fmt.Sprintf("%s %s", id.Document, w.Columns[0].Str()))
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

type memoryStores struct {
	mu   sync.Mutex
	open map[int32]*statestore.Memory
}

func (m *memoryStores) Open(p int32) (kafka.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[p] == nil {
		m.open[p] = statestore.NewMemory()
	}
	return keptOpen{m.open[p]}, nil
}

func (m *memoryStores) Wipe(p int32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, p)
	return nil
}

type keptOpen struct{ *statestore.Memory }

func (keptOpen) Close() error { return nil }

// scene is a flow under test, with the pieces that outlive a process.
type scene struct {
	t      *testing.T
	broker *embedded.Broker
	stores *memoryStores
	shelf  *shelf
	source kafka.Source
	n      int

	cluster kafka.Cluster
	topics  kafka.Topics
	totals  *engine.Totals
	proc    *kafka.Processor
	deliver *kafka.Delivery
	stop    func()
}

func newScene(t *testing.T) *scene {
	b, err := embedded.Start(embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	s := &scene{t: t, broker: b, stores: &memoryStores{open: map[int32]*statestore.Memory{}}, shelf: newShelf(),
		source: kafka.Source{Topic: "lines.files.page", Ours: true, Planned: 3}}
	s.cluster = kafka.Cluster{Brokers: b.Addresses(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Embedded: true}
	s.topics, err = s.cluster.EnsureTopics(t.Context(), "lines", s.source)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a process of the flow until stop.
func (s *scene) start() {
	s.n++
	ctx, cancel := context.WithCancel(s.t.Context())
	s.totals = &engine.Totals{}
	program := newLines()
	ev := engine.NewEvaluator(ctx, program, s.totals, engine.Events{})
	s.proc = kafka.NewProcessor(kafka.ProcessorConfig{Cluster: s.cluster, Topics: s.topics, TransactionalID: fmt.Sprint("lines.", s.n),
		Engine:    engine.Config{Program: program, Source: "page", Decoder: schemas.NewFiles("page"), Now: func() int64 { return time.Now().UnixNano() }},
		Evaluator: ev, Totals: s.totals, Stores: s.stores})
	tables := map[string]stream.Table{"lines": program.Tables()[0]}
	s.deliver = kafka.NewDelivery(kafka.DeliveryConfig{Cluster: s.cluster, Topics: s.topics, Target: "shelf", Sink: s.shelf, Tables: tables, Now: time.Now})
	var group sync.WaitGroup
	for _, run := range []func(context.Context) error{s.proc.Run, s.deliver.Run} {
		group.Go(func() {
			if err := run(ctx); err != nil {
				s.t.Error(err)
			}
		})
	}
	s.stop = func() { cancel(); group.Wait(); ev.Wait() }
}

func (s *scene) write(path, content string) {
	s.publish(schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Content: []byte(content), Size: int64(len(content))}))
}

func (s *scene) remove(path string) {
	s.publish(schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Op: schemas.FileDelete}))
}

func (s *scene) publish(r stream.Record) {
	p, err := s.cluster.OpenPublisher(s.source.Topic)
	if err != nil {
		s.t.Fatal(err)
	}
	defer p.Close()
	if err := p.Publish(s.t.Context(), []stream.Record{r}); err != nil {
		s.t.Fatal(err)
	}
}

// settle waits until the processor and the target have caught up.
func (s *scene) settle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !s.caughtUp(ctx) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			s.t.Fatalf("not caught up: %+v %+v", s.proc.Status(), s.deliver.Status())
		}
	}
}

func (s *scene) caughtUp(ctx context.Context) bool {
	source, err := s.cluster.SourceEnds(ctx, s.topics)
	if err != nil {
		s.t.Fatal(err)
	}
	parts := s.proc.Status()
	for _, p := range parts {
		if p.State != "ready" || p.Busy || p.Next < source[p.Partition] {
			return false
		}
	}
	rows, err := s.cluster.RowsEnds(ctx, s.topics)
	if err != nil {
		s.t.Fatal(err)
	}
	held := s.deliver.Status()
	for _, p := range held {
		if p.Next < rows[p.Partition] {
			return false
		}
	}
	return len(parts) == len(source) && len(held) == len(rows)
}

func (s *scene) expect(want ...string) {
	s.t.Helper()
	if got := s.shelf.list(); got != strings.Join(want, "\n") {
		s.t.Errorf("the target holds:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func TestSpine(t *testing.T) {
	s := newScene(t)
	s.start()
	s.write("a.md", "one\ntwo")
	s.write("b.md", "two\nthree")
	s.settle()
	s.expect("page/a.md ONE", "page/a.md TWO", "page/b.md THREE", "page/b.md TWO")

	s.write("a.md", "one\ntwo")
	s.settle()
	if c := s.totals.Snapshot(); c.Noop != 1 || c.Nodes["shout"].Computed != 3 {
		t.Errorf("after an unchanged file: %+v", c)
	}

	s.write("a.md", "two\nfour")
	s.remove("b.md")
	s.settle()
	s.expect("page/a.md FOUR", "page/a.md TWO")

	s.write("c.md", "fine\nbad")
	s.settle()
	s.expect("page/a.md FOUR", "page/a.md TWO")
	if n := kafka.Totals(s.proc.Status()).Quarantined; n != 1 {
		t.Errorf("%d documents quarantined, want 1", n)
	}
	s.write("c.md", "fine")
	s.settle()
	s.expect("page/a.md FOUR", "page/a.md TWO", "page/c.md FINE")
	s.stop()

	// A clean stop starts again without reading the changelog.
	s.start()
	s.settle()
	if n := s.proc.Metrics.RestoreFetches.Load(); n != 0 {
		t.Errorf("%d changelog fetches after a clean stop, want 0", n)
	}
	s.stop()

	// Lost state comes back from the changelog.
	clear(s.stores.open)
	s.start()
	s.write("a.md", "two\nfour\none")
	s.settle()
	s.expect("page/a.md FOUR", "page/a.md ONE", "page/a.md TWO", "page/c.md FINE")
	if c := s.totals.Snapshot(); c.Nodes["shout"].Computed != 0 {
		t.Errorf("%d results computed again, want 0: memos of old contents are kept", c.Nodes["shout"].Computed)
	}
	s.stop()
}
