package stream

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ErrorKind is a failure class; the engine has one reaction to each (DESIGN.md, Evaluation).
type ErrorKind uint8

// Failure classes. The zero kind is Internal: it stops the partition and loses nothing.
const (
	Internal     ErrorKind = iota
	Transient              // timeout, 5xx, refused connection: retried with back-off
	Throttled              // 429: the limiter slows down; not an attempt
	Unauthorised           // 401, 403: the credential is read again once, then the node pauses
	Invalid                // this input can't be processed: the document is quarantined, others go on
	Fenced                 // another writer took over: stop writing, change nothing
	Usage                  // the user must change something: flow file, target, flags
)

// String names the class as metrics and messages do.
func (k ErrorKind) String() string {
	return [...]string{"internal", "transient", "throttled", "unauthorised", "invalid", "fenced", "usage"}[k]
}

// Error says what was being done (Op), to which document, and which class of failure it is. Its text never holds secrets.
type Error struct {
	Op         string    // e.g. "embed with model small", "apply to target local"
	Doc        string    // document ID, when one is concerned
	Kind       ErrorKind // the engine's reaction
	Err        error     // cause; its text completes the message
	RetryAfter time.Duration
	Suspect    bool // one of a call's inputs may be the cause: they are tried again apart from each other
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Op
	if e.Doc != "" {
		s += " (document " + e.Doc + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error of the given class with a formatted cause (%w wraps).
func Errorf(kind ErrorKind, op, format string, args ...any) *Error {
	return &Error{Op: op, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Within says around an error what was being done; its class, its wait and its suspicion stay.
func Within(op string, err error) *Error {
	outer := &Error{Op: op, Kind: KindOf(err), Err: err}
	var own *Error
	if errors.As(err, &own) {
		outer.RetryAfter, outer.Suspect = own.RetryAfter, own.Suspect
	}
	return outer
}

// KindOf returns the class of the first Error in err's chain; Internal when there is none.
func KindOf(err error) ErrorKind {
	if err == nil {
		return Internal // as most are asked about: it costs nothing
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}

// BatchError is returned by an operator of which some inputs failed: by index, why. The other outputs are valid.
type BatchError struct{ Failed map[int]error }

// Error implements error.
func (e *BatchError) Error() string {
	if len(e.Failed) == 0 {
		return "no input failed"
	}
	first := slices.Min(slices.Collect(maps.Keys(e.Failed)))
	return fmt.Sprintf("%d inputs failed, first number %d: %v", len(e.Failed), first, e.Failed[first])
}
