// Package history replays a recorded history of edits through a flow, commit by commit, and reports what each commit
// cost. It reads recordings and git repositories, counts outside the engine what a replay may compute, and compares the
// tables of two targets.
//
// It upholds: a commit is replayed only after everything before it is processed and visible in every target, so that
// what a commit cost is known; what is counted here never comes from the engine that it judges.
package history

import "time"

// Edit is one change of a file. Paths have slashes.
type Edit struct {
	Path    string
	Delete  bool
	Content []byte // nil with Delete
}

// Commit is the edits that were made together, at most one of each path.
type Commit struct {
	ID    string
	Time  time.Time
	Edits []Edit
}

// Reader reads a history, oldest commit first. Next returns io.EOF after the last commit; Close may come at any time.
type Reader interface {
	Next() (Commit, error)
	Close() error
}
