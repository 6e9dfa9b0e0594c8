// Package optest is for tests of operators. It upholds that results which are stored belong to the version that made them (invariant
// 7): a build that changed an operator's output and kept its version fails.
package optest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// Case is an input of an operator.
type Case struct {
	Name     string         // of one line, unique among the cases
	Settings []stream.Entry // those that are not the defaults
	Input    stream.Value   // not null
}

// Golden compares what the operator gives for the cases with testdata/NAME.golden, which names the version that gave it. Where
// another output comes of the same version, the test fails until the version is raised. Where the version was raised, or there are
// other cases, the file is written anew, and the test fails this once, so that somebody looks at it.
func Golden(t testing.TB, spec stream.OperatorSpec, cases []Case) {
	t.Helper()
	path := filepath.Join("testdata", spec.Name+".golden")
	text, err := transcript(t, spec, cases)
	if err != nil {
		t.Errorf("%v", err)
		return
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
		return
	}
	held := string(b)
	if held == text {
		return
	}
	why, sound := compare(spec, held, text)
	if sound {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Errorf("%v", err)
		}
		why = path + " is written anew: " + why + "; look at it, and commit it"
	}
	t.Errorf("operator %s: %s", spec.Name, why)
}

// transcript writes what the operator gives: its version, and a line for each case.
func transcript(t testing.TB, spec stream.OperatorSpec, cases []Case) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "version %d\n", spec.Version)
	for _, c := range cases {
		set := stream.Settings{Values: stream.MapOf(withDefaults(spec, c.Settings)...)}
		op, err := spec.New(set)
		if err != nil {
			return "", fmt.Errorf("case %s: %w", c.Name, err)
		}
		out, err := op.Apply(t.Context(), []stream.Value{c.Input})
		if err == nil && len(out) != 1 {
			err = fmt.Errorf("%d outputs for one input", len(out))
		}
		if err != nil {
			return "", fmt.Errorf("case %s: %w", c.Name, err)
		}
		fmt.Fprintf(&b, "%q of %s gives %s: %s\n", c.Name, stream.FingerprintOfList(set.Values, c.Input), stream.FingerprintOf(out[0]), out[0])
	}
	return b.String(), nil
}

func withDefaults(spec stream.OperatorSpec, set []stream.Entry) []stream.Entry {
	given := stream.MapOf(set...)
	for _, s := range spec.Settings {
		if _, ok := given.Get(s.Name); !ok && !s.Default.IsNull() {
			set = append(set[:len(set):len(set)], stream.Entry{Key: s.Name, Value: s.Default})
		}
	}
	return set
}

// caseLine is a line of a transcript: what a case is, and what came of it.
var caseLine = regexp.MustCompile(`(?m)^(".*" of \w+) gives (\w+: .*)$`)

// compare says why a transcript is not the held one, and whether it may replace that.
func compare(spec stream.OperatorSpec, held, now string) (why string, sound bool) {
	var version int
	_, err := fmt.Sscanf(held, "version %d\n", &version)
	switch {
	case held == "":
		return "there was none", true
	case err != nil:
		return "its golden file does not begin with a version; put it back as it was", false
	case spec.Version < version:
		return fmt.Sprintf("its version %d was %d before; results of that version may be stored: raise the version above it", spec.Version, version), false
	case spec.Version > version:
		return fmt.Sprintf("the version was raised from %d to %d", version, spec.Version), true
	}
	before := map[string]string{}
	for _, m := range caseLine.FindAllStringSubmatch(held, -1) {
		before[m[1]] = m[2]
	}
	for _, m := range caseLine.FindAllStringSubmatch(now, -1) {
		if was, known := before[m[1]]; known && was != m[2] {
			return fmt.Sprintf("raise the version: version %d gives another output than it gave\ncase  %s\nwas   %s\nis    %s", version, m[1], was, m[2]), false
		}
	}
	return "the cases changed", true
}
