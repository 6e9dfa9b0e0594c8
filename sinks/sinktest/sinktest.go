// Package sinktest is the contract of stream.Sink as a suite that every sink passes against a real target.
//
// It upholds, by test, the invariants of DESIGN.md that a target takes part in: a target never goes back (3), a stale
// writer is fenced (4), a document's rows move together (5), a delete reaches everything (9).
package sinktest

import (
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Harness is one empty target, and what the suite needs to do to it. Each case gets a harness of its own.
type Harness struct {
	// New makes a sink over the harness's target, not opened yet; no I/O. It is called several times, with the same
	// or with other tables: the sinks are then rivals for one target, as a zombie and its successor are. A sink must
	// also be a stream.Reader.
	New func(tables []stream.TargetTable) (stream.Sink, error)
	// MakeForeign creates a table of this name in the target, as a stranger would.
	MakeForeign func(t *testing.T, table string)
	// Alter adds a column to the table by hand.
	Alter func(t *testing.T, table string)
	// Drop drops the table by hand.
	Drop func(t *testing.T, table string)
	// Edit overwrites a string column of one row by hand; its version stays.
	Edit func(t *testing.T, row stream.RowID, column, text string)
	// See returns column `text` of the rows that any reader finds under a name, in one answer, in any order; nil where the target has no fronts.
	// Unlike the rest it may be called beside other calls.
	See func(t *testing.T, name string) []string
	// Switches is how often a front is switched beside readers; 0: 40 times.
	Switches int
	// Is says what this kind of target can hold and promise; what it does not promise is left out, nothing else.
	Is Guarantees
}

// Guarantees are the properties in which targets differ.
type Guarantees struct {
	stream.Guarantees
	Resolution time.Duration // timestamps are cut to it; 0: nanoseconds
	NoNUL      bool          // strings that hold U+0000 are refused
	MaxName    int           // bytes in the name of a table or column; 0: no limit below 200
	MaxRow     int           // bytes of a row; 0: no limit below 3 MB
}

// Case is one promise of the contract.
type Case struct {
	Name string
	Run  func(t *testing.T, h Harness)
}

// Run checks every promise, each against a new target that fresh provides.
func Run(t *testing.T, fresh func(t *testing.T) Harness) {
	groups := [][]Case{writeCases, fenceCases, atomicCases, valueCases, shapeCases, rebuildCases, searchCases, historyCases}
	for _, group := range groups {
		for _, c := range group {
			t.Run(c.Name, func(t *testing.T) { c.Run(t, fresh(t)) })
		}
	}
	for _, c := range frontCases {
		t.Run(c.Name, func(t *testing.T) {
			h := fresh(t)
			if !h.Is.Fronts {
				t.Skip("this kind of target has no fronts")
			}
			c.Run(t, h)
		})
	}
}
