//go:build bench

// Package sinks measures how fast targets are written, beside a bare client that writes the same rows to the same server
// and keeps none of the promises: no version is compared, no writer fenced, no offset kept.
package sinks

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// leastRatio is of the bare client's rate, in the median round, for the targets that have a limit.
const leastRatio = 0.7

// targets are those that are measured; some have a limit.
var targets = []struct {
	name    string
	limited bool
	of      func(*testing.T, kind) contest
}{
	{"postgres", true, postgresContest},
	{"sqlite", true, sqliteContest},
	{"qdrant", true, qdrantContest},
	{"redis", false, redisContest},
	{"topic", false, topicContest},
	{"opensearch", false, openSearchContest},
	{"neo4j", false, neo4jContest},
	{"lancedb", false, lanceContest},
	{"snowflake", false, snowflakeContest},
	{"feast", false, feastContest},
	{"webhook", false, webhookContest},
}

// contest is a target: its sink, and bare clients.
type contest struct {
	size size
	sink stream.Sink
	// same writes whole rows, version and lineage included; columns only identity and columns.
	same, columns writer
}

// writer writes the rows of a batch.
type writer func(ctx context.Context, rows []row) error

// TestSinks writes batches by the sink and by the bare clients, in turn, and compares their rates.
func TestSinks(t *testing.T) {
	fmt.Println("| rate of the sink, as a share of | a bare client that writes the same rows | one that writes identity and columns only |\n| --- | --- | --- |")
	rounds := 9
	if n, err := strconv.Atoi(os.Getenv("FRESHET_BENCH_ROUNDS")); err == nil {
		rounds = n
	}
	for _, k := range kinds {
		for _, target := range targets {
			t.Run(target.name+", "+k.name, func(t *testing.T) {
				m := target.of(t, k).run(t, target.name, k, rounds)
				if target.limited && m < leastRatio {
					t.Errorf("%s has %.2f of a bare client's rate in the median round, the limit is %.2f", target.name, m, leastRatio)
				}
			})
		}
	}
}

// run prints the rates and returns the median of the rounds' ratios.
func (c contest) run(t *testing.T, name string, k kind, rounds int) float64 {
	ctx := t.Context()
	if _, err := c.sink.Open(ctx, "bench", "target"); err != nil {
		t.Fatal(err)
	}
	defer c.sink.Close()
	origin := stream.Origin{TopicID: "bench", Generation: 1}
	if _, err := c.sink.Assign(ctx, 0, origin); err != nil {
		t.Fatal(err)
	}
	if err := c.sink.Adopt(ctx, 0, origin, 0); err != nil {
		t.Fatal(err)
	}
	writers := []writer{func(ctx context.Context, rows []row) error { return c.sink.Apply(ctx, batch(rows)) }, c.same, c.columns}
	w := &work{kind: k, size: c.size, random: rand.New(rand.NewPCG(7, uint64(k.dims)))}
	w.round(t, writers, 2*c.size.held/c.size.batch) // the tables come to hold most rows, and nothing is measured
	w.fastest = nil
	var same, columns []float64
	for range rounds {
		took := w.round(t, writers, c.size.batches)
		same, columns = append(same, took[1]/took[0]), append(columns, took[2]/took[0])
	}
	fmt.Printf("| %s, %s | %s | %s |\n", name, k.name, summary(same, w.fastest[1]/w.fastest[0]), summary(columns, w.fastest[2]/w.fastest[0]))
	return median(same)
}

// work is what is written: batch after batch.
type work struct {
	kind
	size
	random  *rand.Rand
	next    int64     // offset
	fastest []float64 // by writer, seconds of the batch that took it least
}

// round lets each writer write the same batches and returns how many seconds each of them took. They take turns batch by batch, another
// first each time, so that whatever else the machine does befalls them alike.
func (w *work) round(t *testing.T, writers []writer, batches int) []float64 {
	t.Helper()
	took := make([]float64, len(writers))
	if w.fastest == nil {
		w.fastest = slices.Repeat([]float64{math.MaxFloat64}, len(writers))
	}
	for turn := range batches {
		rows := w.rows(w.random, w.size, w.next)
		w.next += int64(len(rows))
		for i := range writers {
			n := (turn + i) % len(writers)
			begun := time.Now()
			if err := writers[n](t.Context(), rows); err != nil {
				t.Fatal(err)
			}
			lasted := time.Since(begun).Seconds()
			took[n] += lasted
			w.fastest[n] = min(w.fastest[n], lasted)
		}
	}
	return took
}

func summary(ratios []float64, fastest float64) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f), fastest batches %.2f", median(ratios), slices.Min(ratios), slices.Max(ratios), fastest)
}

func median(ratios []float64) float64 {
	sorted := slices.Sorted(slices.Values(ratios))
	return sorted[len(sorted)/2]
}

func settings(entries ...stream.Entry) stream.Settings {
	return stream.Settings{Values: stream.MapOf(entries...)}
}

func text(key, value string) stream.Entry {
	return stream.Entry{Key: key, Value: stream.StringOf(value)}
}

func newSink(t *testing.T, spec stream.SinkSpec, set stream.Settings, k kind) stream.Sink {
	t.Helper()
	s, err := spec.New(stream.SinkConfig{Settings: set, Tables: []stream.TargetTable{{Table: k.table()}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
