package kafka_test

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// lines is a program with one row per line of a file's content, and one costly node that shouts the line.
type lines struct {
	shout *stream.Node
	logic string
	brief bool // rows hold the beginning only of what was shouted
}

func newLines() *lines { return newLinesWith(shouter{}) }

func newLinesWith(op stream.Operator) *lines {
	return &lines{logic: "lines1", shout: &stream.Node{Name: "shout", Operator: op, Costly: true, Memo: stream.FingerprintBytes([]byte("shout1"))}}
}

// shouter writes in capitals what does not contain "bad".
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

// slow is a shouter that takes its time for lines that contain "slow", until it is let go.
type slow struct{ letGo chan struct{} }

func (o slow) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	for _, v := range in {
		if !strings.Contains(v.Str(), "slow") {
			continue
		}
		select {
		case <-o.letGo:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return shouter{}.Apply(ctx, in)
}

func (l *lines) Flow() string                           { return "lines" }
func (l *lines) Logic() stream.Fingerprint              { return stream.FingerprintBytes([]byte(l.logic)) }
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
		if l.brief {
			out[i] = stream.StringOf(out[i].Str()[:min(8, len(out[i].Str()))])
		}
		rows = append(rows, stream.Row{Table: "lines", Key: v.Str(), Columns: []stream.Value{out[i]}})
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Key < rows[j].Key })
	return rows, nil
}

// memoryStores are the stores of one machine.
type memoryStores struct {
	mu    sync.Mutex
	open  map[int32]*statestore.Memory
	wiped []int32
	// interrupt is given to every store opened from now on; it may be nil.
	interrupt func(piece int) error
}

func newStores() *memoryStores { return &memoryStores{open: map[int32]*statestore.Memory{}} }

func (m *memoryStores) Open(p int32) (kafka.Store, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open[p] == nil {
		m.open[p] = statestore.NewMemory()
	} else {
		m.open[p] = m.open[p].Reopen()
	}
	m.open[p].PieceEntries, m.open[p].Interrupt = 3, m.interrupt
	return m.open[p], nil
}

// Held is what the machine's stores say when nothing runs.
func (m *memoryStores) Held() (map[int32]stream.Checkpoint, error) {
	held := map[int32]stream.Checkpoint{}
	for p := range int32(partitions) {
		if c, ok := m.checkpoint(p); ok {
			held[p] = c
		}
	}
	return held, nil
}

func (m *memoryStores) Wipe(p int32) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, p)
	m.wiped = append(m.wiped, p)
	return nil
}

// lose forgets everything, as a new disk does.
func (m *memoryStores) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.open)
}

// mark changes the checkpoint of every store.
func (m *memoryStores) mark(change func(*stream.Checkpoint)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for p, s := range m.open {
		s = s.Reopen()
		c, ok, err := s.Checkpoint()
		if err != nil || !ok {
			continue
		}
		change(&c)
		if err := s.Apply(nil, c); err != nil {
			panic(err) // memory does not fail
		}
		m.open[p] = s
	}
}

// clone returns what a copy of the machine's disk would hold.
func (m *memoryStores) clone() *memoryStores {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := newStores()
	for p, s := range m.open {
		out.open[p] = s.Copy()
	}
	return out
}

// soon is long enough for anything that happens by itself.
const soon = 30 * time.Second
