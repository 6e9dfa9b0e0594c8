//go:build synctests

package sim

import (
	"context"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// lines is a program with one row per line of a file's content, and one costly node that shouts the line.
type lines struct {
	shout *stream.Node
	logic stream.Fingerprint
}

// logics is after how many revisions one has the logic of an earlier one again.
const logics = 3

// newLines is the program of a revision. Its rows are those of any other, so that what the source says stays the measure.
func newLines(m *mood, revision int64) *lines {
	logic := logicOf(revision)
	return &lines{&stream.Node{Name: "shout", Operator: shouter{m}, Costly: true, Memo: logic}, logic}
}

func logicOf(revision int64) stream.Fingerprint {
	return stream.FingerprintBytes([]byte{byte(revision % logics)})
}

func (*lines) Flow() string                             { return flowName }
func (l *lines) Logic() stream.Fingerprint              { return l.logic }
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
	for line := range strings.SplitSeq(d.Input.Field("content").Str(), "\n") {
		in = append(in, stream.StringOf(line))
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
	for i := 1; i < len(rows); i++ {
		if rows[i].Key == rows[i-1].Key {
			return nil, stream.Errorf(stream.Invalid, "write rows", "two rows have the key %q", rows[i].Key)
		}
	}
	return rows, nil
}

// mood decides how the operator answers: it outlives processes, as a model server does.
type mood struct {
	mu     sync.Mutex
	away   int           // so many calls fail before one is answered again
	slow   time.Duration // what a call with a slow line takes
	failed int
}

func (m *mood) set(away int, slow time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.away, m.slow = away, slow
}

// call says how long the next call takes and whether it fails.
func (m *mood) call() (time.Duration, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away > 0 {
		m.away--
		m.failed++
		return m.slow, true
	}
	return m.slow, false
}

// shouter writes in capitals what does not contain "bad"; lines with "slow" take time and meet the server's absence.
type shouter struct{ mood *mood }

func (shouter) BatchSize() int { return 3 }

func (s shouter) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	out := make([]stream.Value, len(in))
	for i, v := range in {
		if strings.Contains(v.Str(), "slow") {
			wait, fails := s.mood.call()
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			if fails {
				return nil, stream.Errorf(stream.Transient, "shout", "the server is away")
			}
		}
		if strings.Contains(v.Str(), "bad") {
			return nil, stream.Errorf(stream.Invalid, "shout", "%q is not allowed", v.Str())
		}
		out[i] = stream.StringOf(strings.ToUpper(v.Str()))
	}
	return out, nil
}
