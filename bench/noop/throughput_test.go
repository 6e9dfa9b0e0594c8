//go:build bench

// Package noop measures Freshet's processor on a stream of changes that are nearly all no-ops, beside the least that an
// exactly-once program does.
package noop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/bench/workload"
	"github.com/freshet-dev/freshet/internal/testenv"
)

const (
	partitions = 8
	orders     = 50_000

	leastRatio = 0.5 // of the minimal loop's rate
	mostMemory = 400 // MiB, resident
)

const flowText = `flow: noop
kafka: { brokers: ["%s"] }
sources:
  order:
    debezium: { topic: "%s" }
    fields:
      { id: int, customer: string, email: string, status: string, total: 'decimal(2)', items: int, paid: bool,
        created_at: timestamp, note: 'string?' }
tables:
  orders:
    columns: { id: order.id, customer: order.customer, status: order.status, total: order.total, items: order.items,
               paid: order.paid, created: order.created_at, note: order.note }
targets:
  local: { sqlite: { path: noop.db }, tables: [orders] }
`

// number returns an environment variable's value, or otherwise.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestThroughput writes changes and lets both programs read them, in turn; each round has changes of its own.
func TestThroughput(t *testing.T) {
	changes, rounds := number("FRESHET_BENCH_CHANGES", 500_000), number("FRESHET_BENCH_ROUNDS", 3)
	s := newScene(t)
	s.base()
	var all [2][]result
	for round := range rounds {
		if err := s.orders.Change(t.Context(), s.cl, changes); err != nil {
			t.Fatal(err)
		}
		for i := range s.programs {
			i = (i + round) % len(s.programs)
			r := s.measure(s.programs[i])
			all[i] = append(all[i], r)
			t.Logf("round %d  %s", round+1, r)
		}
	}
	judge(t, all[0], all[1])
}

// judge prints the medians and holds them against the limits.
func judge(t *testing.T, freshet, minimal []result) {
	var ratios []float64
	peak := 0
	for i, f := range freshet {
		ratios = append(ratios, f.rate()/minimal[i].rate())
		peak = max(peak, f.peak)
	}
	slices.Sort(ratios)
	ratio := ratios[len(ratios)/2]
	t.Logf("median   %s", median(freshet))
	t.Logf("median   %s", median(minimal))
	t.Logf("ratio    %.2f of the minimal loop's rate, pair by pair (median; %.2f to %.2f); required: %.2f", ratio, ratios[0], ratios[len(ratios)-1], leastRatio)
	t.Logf("memory   %d MiB resident at most; allowed: %d", peak, mostMemory)
	if ratio < leastRatio {
		t.Errorf("freshet ran at %.2f of the minimal loop's rate; %.2f is required", ratio, leastRatio)
	}
	if peak > mostMemory {
		t.Errorf("freshet took %d MiB; %d are allowed", peak, mostMemory)
	}
}

// result is what one program did in one round.
type result struct {
	name    string
	records int64
	took    time.Duration
	cpu     time.Duration
	peak    int // MiB
}

func (r result) rate() float64 { return float64(r.records) / r.took.Seconds() }

// String implements fmt.Stringer.
func (r result) String() string {
	return fmt.Sprintf("%-8s %8.0f records/s %6.1f µs CPU a record %5d MiB", r.name, r.rate(), float64(r.cpu.Nanoseconds())/1e3/float64(r.records), r.peak)
}

func median(all []result) result {
	sorted := slices.SortedFunc(slices.Values(all), func(a, b result) int { return int(a.rate() - b.rate()) })
	return sorted[len(sorted)/2]
}

// program is one of the two that are compared.
type program struct {
	name, group string
	command     []string
}

// scene is a broker with the topic that both read.
type scene struct {
	t        *testing.T
	cl       *kgo.Client
	adm      *kadm.Client
	topic    string
	orders   *workload.Orders
	programs [2]program
}

func newScene(t *testing.T) *scene {
	broker := testenv.Kafka(t, testenv.KafkaOptions{})
	s := &scene{t: t, topic: "shop.public.orders", orders: workload.NewOrders(orders, 1)}
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()), kgo.DefaultProduceTopic(s.topic), kgo.DisableClientMetrics(),
		kgo.ProducerBatchCompression(kgo.NoCompression())) // as Kafka Connect does by default
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	s.cl, s.adm = cl, kadm.NewClient(cl)
	if _, err := s.adm.CreateTopics(t.Context(), partitions, 1, nil, s.topic, "minimal.out"); err != nil {
		t.Fatal(err)
	}
	flow := filepath.Join(t.TempDir(), "noop.yaml")
	if err := os.WriteFile(flow, fmt.Appendf(nil, flowText, broker.Addr(), s.topic), 0o644); err != nil {
		t.Fatal(err)
	}
	s.programs = [2]program{
		{"freshet", "noop", []string{built(t, "FRESHET_BIN"), "run", "--role", "process", "-f", flow}},
		{"minimal", "minimal", []string{built(t, "FRESHET_BENCH_MINIMAL"), "-brokers", broker.Addr(), "-from", s.topic, "-to", "minimal.out", "-group", "minimal"}},
	}
	return s
}

// built returns the path of a program that run.sh built.
func built(t *testing.T, variable string) string {
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: run bench/run.sh", variable)
	}
	return path
}

// base lets both programs read one event of every order, so that what follows finds a state.
func (s *scene) base() {
	if err := s.orders.Create(s.t.Context(), s.cl); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range s.programs {
		s.t.Logf("base     %s", s.measure(p))
	}
}

// measure lets a program read the topic to its end. What counts is the time from its first commit to the one that
// reaches the end, and the records in between: starting, joining the group and the first transaction are left out.
func (s *scene) measure(prog program) result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Minute)
	defer cancel()
	before, end := s.committed(ctx, prog.group), s.end(ctx)
	p := start(s.t, prog.command[0], prog.command[1:]...)
	from := s.reached(ctx, prog.group, before+1, p)
	began, spent := time.Now(), p.cpu()
	s.reached(ctx, prog.group, end, p)
	r := result{prog.name, end - from, time.Since(began), p.cpu() - spent, p.peak()}
	p.stop()
	return r
}

// reached waits until the group has committed offsets that add up to at least n, and returns their sum.
func (s *scene) reached(ctx context.Context, group string, n int64, p *process) int64 {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if at := s.committed(ctx, group); at >= n {
			return at
		}
		select {
		case <-tick.C:
		case <-p.done:
			s.t.Fatalf("%s ended: %s", p.cmd.Path, p.out.String())
		case <-ctx.Done():
			s.t.Fatalf("group %s did not come to %d: %s", group, n, p.out.String())
		}
	}
}

// committed adds up a group's committed offsets. The broker makes its offsets topic when it is first asked.
func (s *scene) committed(ctx context.Context, group string) (sum int64) {
	offsets, err := s.adm.FetchOffsets(ctx, group)
	for kerr.IsRetriable(err) && ctx.Err() == nil {
		offsets, err = s.adm.FetchOffsets(ctx, group)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	offsets.Each(func(o kadm.OffsetResponse) { sum += max(0, o.At) })
	return sum
}

// end adds up the topic's end offsets.
func (s *scene) end(ctx context.Context) (sum int64) {
	ends, err := s.adm.ListEndOffsets(ctx, s.topic)
	if err != nil {
		s.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	return sum
}
