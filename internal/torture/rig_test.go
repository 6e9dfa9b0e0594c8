package torture

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const partitions = 12

// patience is how long a test waits for what must come about; a busy machine may take its time.
const patience = 3 * time.Minute

// rig is a flow on real brokers with its targets, and the replicas that run it.
type rig struct {
	whole    *testing.T // the test, of which parts may run side by side
	bin      string
	dir      string
	name     string // of the flow
	file     string
	brokers  []*testenv.Broker
	targets  []target
	topic    string
	adm      *kadm.Client
	session  time.Duration // after which the brokers give a silent replica up
	replicas []*replica
	excused  int // replicas that gave up while brokers were down, and were started again
}

func newRig(t *testing.T, session time.Duration, targets []maker, brokers ...*testenv.Broker) *rig {
	t.Helper()
	r := &rig{whole: t, bin: binary(t, "freshet"), dir: t.TempDir(), name: testenv.Name(t), brokers: brokers, session: session}
	r.topic = r.name + ".public.docs"
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addresses()...), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	r.adm = kadm.NewClient(cl)
	if _, err := r.adm.CreateTopic(t.Context(), partitions, -1, nil, r.topic); err != nil {
		t.Fatal(err)
	}
	r.declare(t, targets)
	return r
}

// declare makes the targets and the flow file.
func (r *rig) declare(t *testing.T, targets []maker) {
	t.Helper()
	r.targets = nil
	for _, newTarget := range targets {
		r.targets = append(r.targets, newTarget(t, r))
	}
	r.file = r.flowFile(t)
}

func (r *rig) addresses() []string {
	var all []string
	for _, b := range r.brokers {
		all = append(all, b.Addr())
	}
	return all
}

func (r *rig) flowFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(r.dir, r.name+".yaml")
	text := fmt.Sprintf(`flow: %[1]s
kafka: { brokers: ["%[2]s"] }
sources:
  doc:
    debezium: { topic: "%[3]s" }
    fields: { id: int, rev: int, parts: int, body: string }
models: { lexical: { provider: hash } }
nodes:
  chunks: { op: split.text, in: doc.body, max_tokens: 24, each: chunk }
  vector: { op: embed, in: chunk.text, model: lexical }
tables:
  docs:   { columns: { id: doc.id, rev: doc.rev, parts: 'size(chunks)' } }
  chunks: { for: chunk, key: chunk.id, columns: { id: doc.id, rev: doc.rev, text: chunk.text, embedding: vector } }
targets:
%[4]s`, r.name, strings.Join(r.addresses(), `", "`), r.topic, r.blocks())
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// env is the environment of a replica.
func (r *rig) env(ordinal int, more ...string) []string {
	all := []string{"FRESHET_PATIENCE=" + r.session.String()}
	for _, v := range r.targets {
		all = append(all, v.env(ordinal)...)
	}
	return append(all, more...)
}

// until calls fn again and again until it is true. Meanwhile the replicas must run, but for those that expected names. One
// that gave up while brokers were down is started again, as whoever runs it would.
func (r *rig) until(t *testing.T, what string, fn func(context.Context) bool, expected ...*replica) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(8 * time.Millisecond)
	defer tick.Stop()
	for !fn(ctx) {
		r.look(t, what, expected)
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("gave up waiting: %s%s", what, r.tails())
		}
	}
}

// look finds replicas that ended by themselves.
func (r *rig) look(t *testing.T, what string, expected []*replica) {
	t.Helper()
	for _, x := range r.replicas {
		if x.p == nil || !x.p.ended() || x.p.killed() || contains(expected, x) {
			continue
		}
		if !x.again(t) {
			t.Fatalf("%s ended (%v) before: %s\n%s", x.name, x.p.err, what, x.p.out.String())
		}
	}
}

func contains(all []*replica, x *replica) bool {
	for _, y := range all {
		if x == y {
			return true
		}
	}
	return false
}

// tails is what the replicas say of themselves, and said last.
func (r *rig) tails() string {
	var text strings.Builder
	for _, x := range r.replicas {
		if x.p != nil {
			fmt.Fprintf(&text, "\n--- %s\n%s%s", x.name, x.account(), x.p.out.String())
		}
	}
	return text.String()
}

// committed is how many source records the flow has processed.
func (r *rig) committed(ctx context.Context) (n int64) {
	offsets, err := r.adm.FetchOffsets(ctx, r.name)
	if err != nil {
		return 0
	}
	offsets.Each(func(o kadm.OffsetResponse) { n += max(0, o.At) })
	return n
}

// moves waits until the flow has processed more.
func (r *rig) moves(t *testing.T) {
	t.Helper()
	from := r.committed(t.Context())
	r.until(t, "a commit", func(ctx context.Context) bool { return r.committed(ctx) > from })
}

// ongoing reports whether the broker says that the replica's transaction is open.
func (r *rig) ongoing(ctx context.Context, x *replica) bool {
	id := fmt.Sprintf("%s.processor.%d", r.name, x.ordinal)
	described, err := r.adm.DescribeTransactions(ctx, id)
	return err == nil && described[id].Err == nil && described[id].State == "Ongoing"
}

// restartBroker kills a broker and starts it again. Replicas that start meanwhile may give up.
func (r *rig) restartBroker(t *testing.T, b *testenv.Broker) {
	t.Helper()
	for _, x := range r.replicas {
		x.excused = true
	}
	b.Kill()
	b.Start(t)
}
