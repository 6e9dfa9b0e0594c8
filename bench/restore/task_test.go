//go:build bench

package restore

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// perform is a measuring process: it does its task and prints the result.
func perform(text string) (code int) {
	var c changelog
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		var r result
		if c.Task == "bare" {
			r, err = c.consume(context.Background())
		} else {
			r, err = c.restore(context.Background())
		}
		r.Peak, r.CPU = peak(), cpu()
		if err == nil {
			err = json.NewEncoder(os.Stdout).Encode(r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// consume reads the whole changelog as fast as a client can, and does nothing with it.
func (c changelog) consume(ctx context.Context) (r result, err error) {
	topic := c.Flow + ".changelog"
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Broker), kgo.ConsumeTopics(topic), kgo.DisableClientMetrics(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxBytes(16<<20))
	if err != nil {
		return r, err
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		return r, err
	}
	var left int64
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	began := time.Now()
	for r.Records < left {
		fetches := cl.PollRecords(ctx, 20_000)
		if err := fetches.Err0(); err != nil {
			return r, err
		}
		fetches.EachRecord(func(x *kgo.Record) {
			r.Records++
			r.Bytes += int64(len(x.Key) + len(x.Value))
		})
	}
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

// restore runs a replica on an empty disk until each of its partitions is ready.
func (c changelog) restore(ctx context.Context) (r result, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ev := engine.NewEvaluator(ctx, program{}, &engine.Totals{}, engine.Events{})
	p := kafka.NewProcessor(kafka.ProcessorConfig{Cluster: cluster(c.Broker), Topics: c.Topics, TransactionalID: c.Flow + "." + filepath.Base(c.Dir),
		Engine:    engine.Config{Program: program{}, Source: "page", Decoder: schemas.NewFiles("page"), Now: func() int64 { return time.Now().UnixNano() }},
		Evaluator: ev, Totals: &engine.Totals{}, Stores: stores{c.Dir, c.Flow}})
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var began time.Time
	for int32(len(p.Held())) < c.Topics.Partitions {
		if began.IsZero() && len(p.Status()) > 0 {
			began = time.Now() // it is told what to restore
		}
		select {
		case err := <-ended:
			return r, fmt.Errorf("the replica ended: %w", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	r.Seconds = time.Since(began).Seconds()
	r.Records, r.Bytes = p.Metrics.RestoredRecords.Load(), p.Metrics.RestoredBytes.Load()
	cancel()
	return r, <-ended
}

// cpu is the processor time that this process took.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// peak is the most memory that this process had.
func peak() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

type stores struct{ dir, flow string }

func (s stores) path(p int32) string { return filepath.Join(s.dir, strconv.Itoa(int(p))) }

func (s stores) Open(p int32) (kafka.Store, error) {
	return statestore.Open(s.path(p), statestore.Identity{Flow: s.flow, Partition: p}, slog.New(slog.DiscardHandler))
}

func (s stores) Wipe(p int32) error { return statestore.Wipe(s.path(p)) }

// program is a flow of no work.
type program struct{}

func (program) Flow() string                                   { return "restore" }
func (program) Logic() stream.Fingerprint                      { return stream.FingerprintBytes([]byte("restore")) }
func (program) ReadsRecord() bool                              { return false }
func (program) TableLineage(string) []stream.NodeLineage       { return nil }
func (program) Nodes() []string                                { return nil }
func (program) Tables() []stream.Table                         { return nil }
func (program) ReadSet(stream.Document) (f stream.Fingerprint) { return f }
func (program) Evaluate(context.Context, stream.Document, stream.Calls) ([]stream.Row, error) {
	return nil, nil
}
