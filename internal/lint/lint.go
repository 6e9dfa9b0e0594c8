// Package lint holds the house rules that a compiler doesn't: which package may import which, the one home of each
// vendor's SDK, sizes, comments, and constructs that the engine's promises forbid. Its test runs them on the repository.
//
// It upholds:
//   - Every rule is a function over a parsed tree, so that a small planted tree (testdata) shows that it fails.
//   - A departure from a rule is a line of exceptions with its reason; a line that nothing needs any more is a fault.
//   - Only syntax is read, never types: the whole repository takes about a second, and broken builds can be checked.
package lint

import (
	"cmp"
	"fmt"
	"slices"
)

// Fault is one place that breaks a rule.
type Fault struct {
	Path string // slash-separated, relative to the module's root
	Line int    // from 1
	Rule string // name of the rule, as in exceptions
	Text string // what is wrong, and what to do
}

// String is the fault on one line that editors can follow.
func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s: %s", f.Path, f.Line, f.Rule, f.Text) }

// rules are all rules, by the name that their faults carry.
var rules = map[string]func(*Tree) []Fault{
	"layers":       layerFaults,
	"directory":    directoryFaults,
	"design":       designFaults,
	"vendors":      vendorFaults,
	"registration": registrationFaults,
	"size":         sizeFaults,
	"docs":         docFaults,
	"sleep":        sleepFaults,
	"context":      contextFaults,
	"untyped":      untypedFaults,
	"unfinished":   unfinishedFaults,
	"error-text":   errorTextFaults,
	"skip":         skipFaults,
}

// Check applies every rule to the tree and returns what the exceptions don't cover, and the exceptions that cover
// nothing, sorted by place.
func Check(t *Tree) []Fault { return check(t, exceptions) }

func check(t *Tree, allowed []exception) []Fault {
	var faults []Fault
	for _, rule := range rules {
		faults = append(faults, rule(t)...)
	}
	faults = except(faults, allowed)
	slices.SortStableFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return faults
}
