// Package testenv starts real components for tests and benchmarks: a Kafka broker, a Postgres server with pgvector, Qdrant's engine, a
// Redis server, a Neo4j server, an OpenSearch node, a Lance server, an emulator of Snowflake, a Kafka Connect worker with Debezium.
//
// It upholds:
//   - What a test starts ends with the test: every process is our own child, stopped by its process ID, and killed by
//     the kernel when the test process dies. Everything listens on 127.0.0.1 only.
//   - A start returns when the component answers, never after a fixed wait; when it doesn't come up, the tail of its log
//     is in the error.
//   - A component that is not installed skips the test with a line "SKIP-COMPONENT name: reason"; with CI=true it fails
//     the test.
//
// Components come from a cache directory that tools/components/install fills. A package whose tests share one broker or
// one server calls Main in its TestMain and SharedKafka, SharedPostgres or SharedConnect in its tests.
package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// startLimit bounds every start: a busy two-core machine needs up to 20 s for Connect, and one that many share some ten times that.
const startLimit = 4 * time.Minute

// Name returns a name that no other test uses, fit for topics, groups, databases and connectors: the test's own name,
// shortened, and a random part; lower case, digits and '_'.
func Name(t testing.TB) string {
	base := strings.ToLower(notWord.ReplaceAllString(t.Name(), "_"))
	if len(base) > 30 {
		base = base[:30]
	}
	return base + "_" + strings.ToLower(rand.Text()[:8])
}

var notWord = regexp.MustCompile(`[^a-zA-Z0-9]+`)

// errForGood marks an answer that waiting won't change.
var errForGood = errors.New("it will not come up by itself")

// ready asks until answer returns nil or errForGood, the process ends, or startLimit is over.
func ready(ctx context.Context, p *process, answer func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := answer(ctx)
		if err == nil || errors.Is(err, errForGood) {
			return err
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("%s ended while starting: %w\n%s", p.name, err, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s did not answer: %w\n%s", p.name, err, p.tail())
		}
	}
}

// must ends the test when err is not nil: a missing component by a skip (a failure with CI=true), the rest by a failure.
func must(t testing.TB, err error) {
	t.Helper()
	var gone *missing
	switch {
	case err == nil:
	case errors.As(err, &gone) && os.Getenv("CI") != "true":
		t.Skip(gone.Error())
	default:
		t.Fatal(err)
	}
}
