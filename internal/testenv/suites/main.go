// Command suites runs every test of the module, as `make test` does, and says at the end how long each suite took, what
// was skipped and why, and how many tests passed. go test's own closing line of each package is kept, and so is the
// whole output of a test that failed; all output is in the file that -log names.
//
// Packages whose tests start real components run one after the other, so that two brokers don't compete for a small
// machine; targets, whose servers wait much, and the other packages run two at a time. The simulation, whose time is virtual, and after
// it the mutants take the processors while the real components wait.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// testenv is what the tests with real components import; sinks are the targets; mutants runs tests on changed code.
const (
	testenv = "github.com/freshet-dev/freshet/internal/testenv"
	sinks   = "github.com/freshet-dev/freshet/sinks/"
	mutants = "github.com/freshet-dev/freshet/internal/mutants"
)

// suite is a group of packages that run in the same way.
type suite struct {
	name     string
	packages []string
	flags    []string
	args     []string // for the tests themselves
	env      []string // beside this process's
	beside   bool     // beside those that are not, at the lowest priority
}

func main() {
	log := flag.String("log", filepath.Join("bin", "test.log"), "where the whole output goes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := runAll(ctx, *log, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "suites:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// runAll runs the suites and prints the summary; ok is false when a test failed.
func runAll(ctx context.Context, log string, out io.Writer) (ok bool, err error) {
	suites, err := findSuites(ctx)
	if err != nil {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		return false, err
	}
	all, err := os.Create(log)
	if err != nil {
		return false, err
	}
	defer all.Close()
	total := &report{out: out, all: all}
	err = runSuites(ctx, suites, total)
	if err == nil {
		total.summary(log)
	}
	return total.failed == 0 && !total.broken, err
}

// runSuites runs the first suite, and then the others: one after the other, and beside them those that are to run beside, in their order.
func runSuites(ctx context.Context, suites []suite, total *report) error {
	if err := run(ctx, suites[0], total); err != nil {
		return err
	}
	var lanes [2][]suite
	for _, s := range suites[1:] {
		lane := 0
		if s.beside {
			lane = 1
		}
		lanes[lane] = append(lanes[lane], s)
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, lane := range lanes {
		group.Go(func() error {
			for _, s := range lane {
				if err := run(ctx, s, total); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// findSuites divides the module's packages that have tests.
func findSuites(ctx context.Context) ([]suite, error) {
	// The name of a test binary, and whether it holds testenv.
	const format = `{{.ImportPath}} {{join .Deps ","}}`
	out, err := exec.CommandContext(ctx, "go", "list", "-test", "-f", format, "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("list the module's packages: %w", err)
	}
	cheap := suite{name: "without services", flags: []string{"-p=2", "-timeout=10m"}}
	real := suite{name: "real components", flags: []string{"-p=1", "-timeout=45m", "-count=1"}}
	targets := suite{name: "targets", flags: []string{"-p=2", "-timeout=30m", "-count=1"}}
	// Most mutants start a component and wait for it. What kills them passes in this run as well, or the run fails anyway.
	gate := suite{name: "mutants", flags: []string{"-timeout=45m", "-count=1", "-parallel=4"}, args: []string{"-passed"}, beside: true}
	for line := range strings.Lines(string(out)) {
		binary, deps, _ := strings.Cut(strings.TrimSpace(line), " ")
		path, isTest := strings.CutSuffix(binary, ".test")
		switch {
		case !isTest:
		case path == mutants:
			gate.packages = append(gate.packages, path)
		case path != testenv && !slices.Contains(strings.Split(deps, ","), testenv):
			cheap.packages = append(cheap.packages, path)
		case strings.HasPrefix(path, sinks):
			targets.packages = append(targets.packages, path)
		default:
			real.packages = append(real.packages, path)
		}
	}
	// Its files have a build tag, without which it has no tests.
	simulation := suite{name: "simulation", packages: []string{"./internal/sim"}, flags: []string{"-tags=synctests", "-timeout=60m", "-count=1"},
		args: []string{"-from=10000", "-runs=2700", "-badger=300"}, env: []string{"GOGC=400"}, beside: true}
	return []suite{cheap, simulation, real, targets, gate}, nil
}

// run runs one suite; a failed test is in the report, not an error.
func run(ctx context.Context, s suite, total *report) error {
	if len(s.packages) == 0 {
		return nil
	}
	total.say("== %s: %d packages\n", s.name, len(s.packages))
	// `make test` vets all before; here it would be done again for each package, with all that it imports.
	command := slices.Concat([]string{"go", "test", "-json", "-vet=off", "-ldflags=-w"}, s.flags, s.packages, s.args)
	if s.beside {
		command = slices.Concat([]string{"nice", "-n", "19"}, command)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	if err := total.read(s.name, events); err != nil {
		return fmt.Errorf("read what go test says: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		total.breakOff()
	}
	total.spent(s.name, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	return ctx.Err()
}
