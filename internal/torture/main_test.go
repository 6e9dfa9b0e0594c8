package torture

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", strconv.Itoa(len(fenced))) // zombies stand still most of the time
	code := testenv.Main(m)
	_ = os.RemoveAll(built.dir) // of the temporary directory
	os.Exit(code)
}

// number reads a variable that scales the tests.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// span reads a duration that scales the tests.
func span(name string, otherwise time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv(name)); err == nil {
		return d
	}
	return otherwise
}

// chance returns the test's random numbers; the seed is told, with how to take it again.
func chance(t *testing.T) (*rand.Rand, uint64) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("FRESHET_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("seed %d; again: FRESHET_SEED=%d go test ./internal/torture -count=1 -v -run '^%s$'", seed, seed, t.Name())
	return rand.New(rand.NewPCG(seed, 1)), seed
}

// built are the programs that all tests run: freshet with crash points; serve, a guarded store; receive, a webhook's receiver.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func binary(t *testing.T, name string) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "freshet-torture-"); built.err != nil {
			return
		}
		const module = "github.com/freshet-dev/freshet"
		cmd := exec.Command("go", "build", "-ldflags=-w", "-tags", "crashpoints", "-o", built.dir+"/", module+"/cmd/freshet", module+"/internal/testenv/guarded/serve", module+"/examples/webhook-receiver/receive")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}

// progress tells whoever waits for a long run.
func progress(format string, args ...any) {
	fmt.Printf("%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
