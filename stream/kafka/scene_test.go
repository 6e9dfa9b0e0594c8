package kafka_test

import (
	"context"
	"flag"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
	"github.com/freshet-dev/freshet/stream/kafka/embedded"
)

// patience is when a test gives up. In virtual time it costs nothing.
const patience = 2 * time.Minute

// partitions of the source in every scene.
const partitions = 3

// scene is a flow on the in-process broker: what outlives its processes, and a model of its source.
type scene struct {
	*testing.T
	broker  *embedded.Broker
	dial    func(ctx context.Context, network, host string) (net.Conn, error)
	virtual bool
	cluster kafka.Cluster
	topics  kafka.Topics
	source  kafka.Source
	stores  *memoryStores // of the processes that bring none of their own
	shelf   *shelf
	starts  int
	files   map[string]string // path → content, as the source says
}

// TestMain lets more tests run beside each other than there are processors: in real time they wait more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "32"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// play runs a scenario. It ends when everything that it started has ended.
func play(t *testing.T, scenario func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		scenario(newScene(t, network.Listen, network.DialContext))
	})
}

// playReal runs a scenario in real time, beside others. Virtual time stands still while a goroutine waits for a mutex,
// and the client holds one while it joins the group or repeats a commit to a broker that it can't reach.
func playReal(t *testing.T, scenario func(s *scene)) {
	t.Helper()
	t.Parallel()
	scenario(newScene(t, nil, new(net.Dialer).DialContext))
}

func newScene(t *testing.T, listen func(network, address string) (net.Listener, error),
	dial func(ctx context.Context, network, host string) (net.Conn, error)) *scene {
	t.Helper()
	s := &scene{T: t, dial: dial, virtual: listen != nil, stores: newStores(), shelf: newShelf(), files: map[string]string{},
		source: kafka.Source{Topic: "lines.files.page", Ours: true, Planned: partitions}}
	var err error
	if s.broker, err = embedded.Start(t.Context(), embedded.Options{Listen: listen}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.broker.Close)
	s.cluster = kafka.Cluster{Brokers: s.broker.Addresses(), Dial: dial, Embedded: true,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	s.ensure()
	return s
}

// ensure creates the flow's topics, or reads again what they are.
func (s *scene) ensure() {
	s.Helper()
	var err error
	if s.topics, err = s.cluster.EnsureTopics(s.Context(), "lines", s.source); err != nil {
		s.Fatal(err)
	}
}

// setup is what a process is started with.
type setup struct {
	processor kafka.ProcessorConfig
	delivery  kafka.DeliveryConfig
	program   *lines
	process   bool // run the processor
	deliver   bool // run the delivery
	decoder   stream.Decoder
	now       func() time.Time // of the engine
	retention time.Duration    // of memos; 0: for ever
}

// process is a running process of the flow.
type process struct {
	s       *scene
	proc    *kafka.Processor
	deliver *kafka.Delivery
	totals  *engine.Totals
	link    *link
	cancel  context.CancelFunc
	group   sync.WaitGroup
	ended   chan struct{} // closed when one of its loops has ended
	once    sync.Once
	mu      sync.Mutex
	err     error
	ev      *engine.Evaluator
	setup   setup
}

// start runs a process; change adjusts what it is started with.
func (s *scene) start(change ...func(*setup)) *process {
	s.starts++
	p := &process{s: s, totals: &engine.Totals{}, link: &link{dial: s.dial}, ended: make(chan struct{})}
	cluster := s.cluster
	cluster.Dial = p.link.open
	cluster.Log = cluster.Log.With("process", s.starts)
	c := &p.setup
	*c = setup{process: true, deliver: true, program: newLines(), decoder: schemas.NewFiles("page"), now: time.Now}
	c.processor = kafka.ProcessorConfig{Cluster: cluster, Topics: s.topics, TransactionalID: fmt.Sprint("lines.", s.starts),
		Totals: p.totals, Stores: s.stores}
	c.delivery = kafka.DeliveryConfig{Cluster: cluster, Topics: s.topics, Target: "shelf", Sink: s.shelf, Now: time.Now}
	for _, f := range change {
		f(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.ev = engine.NewEvaluator(ctx, c.program, p.totals, engine.Events{})
	c.processor.Evaluator = p.ev
	c.processor.Engine = engine.Config{Program: c.program, Source: "page", Decoder: c.decoder, MemoRetention: c.retention,
		Now: func() int64 { return c.now().UnixNano() }}
	if c.delivery.Tables == nil {
		c.delivery.Tables = map[string]stream.Table{}
		for _, t := range c.program.Tables() {
			c.delivery.Tables[t.Name] = t
		}
	}
	if c.process {
		p.proc = kafka.NewProcessor(c.processor)
		p.run(ctx, p.proc.Run)
	}
	if c.deliver {
		p.deliver = kafka.NewDelivery(c.delivery)
		p.run(ctx, p.deliver.Run)
	}
	s.Cleanup(func() { p.link.restore(); p.stop() })
	return p
}

func (p *process) run(ctx context.Context, run func(context.Context) error) {
	p.group.Go(func() {
		err := run(ctx)
		p.mu.Lock()
		if p.err == nil {
			p.err = err
		}
		p.mu.Unlock()
		p.once.Do(func() { close(p.ended) })
	})
}

// stop ends the process cleanly and returns why it had ended before, if it had.
func (p *process) stop() error {
	p.cancel()
	p.group.Wait()
	p.ev.Wait()
	return p.err
}

// halts waits until the process ends by itself, and checks that it says all of the words.
func (p *process) halts(kind stream.ErrorKind, words ...string) {
	p.s.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.s.Fatalf("the process goes on: %+v", p.status())
	}
	err := p.stop()
	if err == nil {
		p.s.Fatal("the process ended without an error")
	}
	if stream.KindOf(err) != kind {
		p.s.Errorf("kind %v, want %v: %v", stream.KindOf(err), kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			p.s.Errorf("the message does not say %q: %v", w, err)
		}
	}
}

func (p *process) status() string {
	text := ""
	if p.proc != nil {
		text += fmt.Sprintf("processor %+v", p.proc.Status())
	}
	if p.deliver != nil {
		text += fmt.Sprintf(" delivery %+v", p.deliver.Status())
	}
	return text
}

// link is a process's way to the brokers. While it is cut, the process is as good as stopped: whatever it does reaches
// nobody, and nobody is told.
type link struct {
	dial  func(ctx context.Context, network, host string) (net.Conn, error)
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (l *link) open(ctx context.Context, network, host string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, &net.OpError{Op: "dial", Net: "virtual", Err: net.ErrClosed}
	}
	c, err := l.dial(ctx, network, host)
	if err == nil {
		l.conns = append(l.conns, c)
	}
	return c, err
}

func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for _, c := range l.conns {
		_ = c.Close() // it may be closed
	}
	l.conns = nil
}

func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

func (s *scene) write(path, content string) {
	s.Helper()
	s.files[path] = content
	s.publish(fileRecord(path, content))
}

func (s *scene) remove(path string) {
	s.Helper()
	delete(s.files, path)
	s.publish(deleteRecord(path))
}

func deleteRecord(path string) stream.Record {
	return schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Op: schemas.FileDelete})
}

func fileRecord(path, content string) stream.Record {
	return schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Content: []byte(content), Size: int64(len(content))})
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

// until waits until done.
func (s *scene) until(what string, done func() bool) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			s.Fatal("gave up waiting: " + what)
		}
		s.wait(20 * time.Millisecond)
	}
}

func (s *scene) wait(d time.Duration) { <-time.After(d) }

// settle waits until the processes have caught up: what the source holds is processed, and delivered if they deliver.
func (s *scene) settle(all ...*process) {
	s.Helper()
	deadline := time.Now().Add(patience)
	for !s.caughtUp(all) {
		if time.Now().After(deadline) {
			for _, p := range all {
				s.Logf("%s", p.status())
			}
			s.Fatal("the flow does not catch up")
		}
		s.wait(20 * time.Millisecond)
	}
}

func (s *scene) caughtUp(all []*process) bool {
	source, err := s.cluster.SourceEnds(s.Context(), s.topics)
	if err != nil {
		s.Fatal(err)
	}
	delivers, said := false, 0
	for _, p := range all {
		delivers = delivers || p.deliver != nil
		said += len(p.processed())
		for _, part := range p.processed() {
			if part.State == "ready" && !part.Busy && part.Next >= source[part.Partition] {
				delete(source, part.Partition)
			}
		}
	}
	if len(source) > 0 || said > int(s.topics.Partitions) { // more: a process has not noticed yet that it lost some
		return false
	}
	if !delivers {
		return true
	}
	rows, err := s.cluster.RowsEnds(s.Context(), s.topics)
	if err != nil {
		s.Fatal(err)
	}
	for _, p := range all {
		if p.deliver == nil {
			continue
		}
		for _, part := range p.deliver.Status() {
			if part.Next >= rows[part.Partition] && !part.Rebuilding {
				delete(rows, part.Partition)
			}
		}
	}
	return len(rows) == 0
}

func (p *process) processed() []kafka.PartitionStatus {
	if p.proc == nil {
		return nil
	}
	return p.proc.Status()
}

// expect compares the target with what the lines of the source's files give.
func (s *scene) expect() {
	s.Helper()
	var want []string
	for path, content := range s.files {
		for line := range linesOf(content) {
			want = append(want, "page/"+path+" "+strings.ToUpper(line))
		}
	}
	slices.Sort(want)
	if got, want := s.shelf.list(), strings.Join(want, "\n"); got != want {
		s.Errorf("the target holds:\n%s\nwant:\n%s", got, want)
	}
	for _, fault := range s.shelf.faulty() {
		s.Error(fault)
	}
}

// client returns a client of the broker beside the flow's own.
func (s *scene) client(opts ...kgo.Opt) *kgo.Client {
	s.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.cluster.Brokers...), kgo.Dialer(s.dial),
		kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(cl.Close)
	return cl
}

// sum adds up the state of the processes' partitions.
func sum(all ...*process) engine.Stats {
	var parts []kafka.PartitionStatus
	for _, p := range all {
		parts = append(parts, p.processed()...)
	}
	return kafka.Totals(parts)
}

// paths names n files.
func paths(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%02d.md", i)
	}
	return out
}

// linesOf is the lines of a file, as the program takes them.
func linesOf(content string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for line := range strings.Lines(content) {
			if !yield(strings.TrimSpace(line)) {
				return
			}
		}
	}
}

// streamRecord is a record as the flow's own code takes it.
func streamRecord(r *kgo.Record) *stream.Record {
	out := &stream.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, stream.Header{Key: h.Key, Value: h.Value})
	}
	return out
}
