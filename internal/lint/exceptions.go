package lint

import "strings"

// exception allows one rule to be broken in one file, or below one directory (its path ends in "/").
type exception struct {
	rule   string
	path   string
	reason string
}

// exceptions are all departures from the rules.
var exceptions = []exception{
	{"registration", "sinks/sqlite/driver.go", "sqlite-vec has no other way in than its import"},
	{"context", "stream/engine/memos.go", "a memo in flight belongs to the partition, not to the call that asked for it first"},
	{"context", "cli/cli.go", "Main is the whole of a main function, also of programs with targets of their own"},
	{"layers", "cmd/freshet/extra_on.go", "the build for tests has a target that only tests have"},
	{"skip", "sinks/sinktest/", "the contract leaves out what a kind of target does not claim"},
	{"skip", "statestore/store_test.go", "the body of a process that another test starts and kills"},
	{"skip", "operators/split/corpus_test.go", "the recorded histories lie beside the repository, not in it"},
	{"skip", "cli/history_test.go", "the recorded histories lie beside the repository, not in it"},
	{"skip", "internal/e2e/peers_test.go", "the recorded histories lie beside the repository, not in it"},
}

func (e exception) covers(f Fault) bool {
	if strings.HasSuffix(e.path, "/") {
		return e.rule == f.Rule && strings.HasPrefix(f.Path, e.path)
	}
	return e.rule == f.Rule && e.path == f.Path
}

// except drops the faults that are allowed, and adds one for each exception that allows nothing.
func except(faults []Fault, allowed []exception) []Fault {
	var left []Fault
	used := make([]bool, len(allowed))
	for _, f := range faults {
		covered := false
		for i, e := range allowed {
			if e.covers(f) {
				used[i], covered = true, true
			}
		}
		if !covered {
			left = append(left, f)
		}
	}
	for i, e := range allowed {
		if !used[i] {
			left = append(left, Fault{e.path, 1, "exception", "nothing here breaks the rule " + e.rule +
				" any more: remove the line from internal/lint/exceptions.go"})
		}
	}
	return left
}
