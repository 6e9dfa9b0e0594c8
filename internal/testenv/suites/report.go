package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// event is one line of `go test -json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// report gathers what the suites did, also of two that run at the same time.
type report struct {
	mu       sync.Mutex // guards all of it
	out, all io.Writer
	suites   []timing
	skips    []string
	passed   int
	failed   int
	skipped  int
	broken   bool // go test itself ended with an error: a test failed, or a package does not build
}

// timing is how long a suite took, and its packages beyond a second.
type timing struct {
	name     string
	took     time.Duration
	spent    time.Duration // by processors, for all processes of the suite that were waited for
	packages []string
}

// read takes in the events of one suite until they end.
func (r *report) read(name string, events io.Reader) error {
	start := time.Now()
	now := timing{name: name}
	outputs := map[string][]string{}
	decoder := json.NewDecoder(events)
	for {
		var e event
		err := decoder.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.take(e, outputs)
		r.mu.Unlock()
		if e.Test == "" && e.Elapsed > 1 {
			now.packages = append(now.packages, fmt.Sprintf("%6.1f min  %s", e.Elapsed/60, e.Package))
		}
	}
	now.took = time.Since(start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.suites = append(r.suites, now)
	return nil
}

// say prints what is no event.
func (r *report) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.out, format, args...)
}

// spent notes what a suite that was read took of processors.
func (r *report) spent(name string, by time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.suites {
		if r.suites[i].name == name {
			r.suites[i].spent = by
		}
	}
}

// breakOff notes that go test ended with an error.
func (r *report) breakOff() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = true
}

// take counts one event, and prints what a reader wants to see of it. outputs holds the lines of tests that run.
func (r *report) take(e event, outputs map[string][]string) {
	test := e.Package + " " + e.Test
	_, _ = io.WriteString(r.all, e.Output)
	switch {
	case e.Action == "build-output":
		_, _ = io.WriteString(r.out, e.Output)
	case e.Action == "output" && e.Test == "":
		r.packageLine(e.Output)
	case e.Action == "output":
		outputs[test] = append(outputs[test], e.Output)
	case e.Test == "":
	case e.Action == "pass":
		r.passed++
		delete(outputs, test)
	case e.Action == "fail":
		r.failed++
		_, _ = io.WriteString(r.out, strings.Join(outputs[test], ""))
		delete(outputs, test)
	case e.Action == "skip":
		r.skipped++
		r.skips = append(r.skips, test+": "+reason(outputs[test]))
		delete(outputs, test)
	}
}

// packageLine prints what a package says outside its tests, but for what is only noise.
func (r *report) packageLine(line string) {
	if line != "PASS\n" && !strings.HasSuffix(line, "[no test files]\n") {
		_, _ = io.WriteString(r.out, line)
	}
}

// reason is what a skipped test said.
func reason(lines []string) string {
	for _, line := range lines {
		if !strings.HasPrefix(line, "===") && !strings.HasPrefix(strings.TrimSpace(line), "---") {
			return strings.TrimSpace(line)
		}
	}
	return "no reason given"
}

// summary prints minutes, skips and counts.
func (r *report) summary(log string) {
	fmt.Fprintln(r.out, "\n== minutes")
	for _, s := range r.suites {
		fmt.Fprintf(r.out, "%6.1f min  %s (%.1f min of processors), of which\n", s.took.Minutes(), s.name, s.spent.Minutes())
		for _, p := range s.packages {
			fmt.Fprintln(r.out, "    "+p)
		}
	}
	fmt.Fprintf(r.out, "\n== skipped: %d\n", len(r.skips))
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "SKIPPED "+s)
	}
	fmt.Fprintf(r.out, "\nThe whole output is in %s.\n", log)
	if r.broken || r.failed > 0 {
		fmt.Fprintln(r.out, "FAIL")
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}
