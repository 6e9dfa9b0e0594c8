//go:build bench

// Package restore measures how fast the state of a replica that has lost its disk is read from the changelog.
package restore

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func TestMain(m *testing.M) {
	if task := os.Getenv(taskVariable); task != "" {
		os.Exit(perform(task))
	}
	os.Exit(testenv.Main(m))
}

// Limits of DESIGN.md's promise, see README.md.
const (
	coldSeconds = 10.0 // for a million entries of 100 B
	leastShare  = 0.4  // of a bare consumer's rate, for vectors
	mostMemory  = 500 << 20
)

// TestSmallEntries: a million entries of at most 100 B.
func TestSmallEntries(t *testing.T) {
	c := fill(t, 8, 1_000_000, 80)
	best := 1e9
	for range rounds {
		bare, cold := c.measure(t, "bare"), c.measure(t, "restore")
		report(t, bare, cold)
		best = min(best, cold.Seconds)
	}
	if best > coldSeconds {
		t.Errorf("a cold restore takes %.1f s at the best, the limit is %.0f s", best, coldSeconds)
	}
}

// TestVectors: 100,000 entries of 3 KiB that can't be compressed, in two partitions restored side by side.
func TestVectors(t *testing.T) {
	c := fill(t, 2, 100_000, 3<<10)
	best := 0.0
	for range rounds {
		bare, cold := c.measure(t, "bare"), c.measure(t, "restore")
		report(t, bare, cold)
		best = max(best, bare.Seconds/cold.Seconds)
		if cold.Peak > mostMemory {
			t.Errorf("peak memory is %d MiB, the limit is %d MiB", cold.Peak>>20, mostMemory>>20)
		}
	}
	if best < leastShare {
		t.Errorf("a cold restore has %.2f of a bare consumer's rate at the best, the limit is %.2f", best, leastShare)
	}
}

const rounds = 3

func report(t *testing.T, bare, cold result) {
	mb := func(r result) float64 { return float64(r.Bytes) / 1e6 / r.Seconds }
	t.Logf("bare consumer %5.2f s (CPU %.2f s) %6.1f MB/s | cold restore %5.2f s (CPU %.2f s) %6.1f MB/s, %7.0f entries/s, peak %d MiB | share %.2f",
		bare.Seconds, bare.CPU, mb(bare), cold.Seconds, cold.CPU, mb(cold), float64(cold.Records)/cold.Seconds, cold.Peak>>20, bare.Seconds/cold.Seconds)
}

// measure performs a task in a process of its own, so that its memory is its own.
func (c changelog) measure(t *testing.T, task string) (r result) {
	t.Helper()
	c.Task, c.Dir = task, t.TempDir()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", task, err, out)
	}
	if err := json.Unmarshal([]byte(strings.TrimSpace(string(out))), &r); err != nil {
		t.Fatalf("%s: %v: %s", task, err, out)
	}
	if r.Records < c.Entries {
		t.Fatalf("%s: %d records read of %d", task, r.Records, c.Entries)
	}
	return r
}
