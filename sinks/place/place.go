// Package place is what targets with transactions share: where a partition is and who may write it, the steps that move it, and what a
// writer remembers of both. Such a target keeps a Place for each partition, and each of its transactions begins by making sure of the epoch.
package place

import (
	"errors"

	"github.com/freshet-dev/freshet/stream"
)

// ErrFenced is the cause when a partition's place doesn't answer to our epoch or our offset (invariant 4).
var ErrFenced = errors.New("another writer took the partition, or the target is at another offset; take the partition again")

// Place is what a target holds of a partition. The zero value is that of one which nobody took yet.
type Place struct {
	Epoch      int64 // of the writer; whoever takes the partition raises it
	TopicID    string
	Generation int64
	Next       int64           // offset in the rows topic
	Rebuild    *stream.Rebuild // nil when none is under way
}

// Applied is the place as the engine sees it.
func (p Place) Applied() stream.Applied {
	return stream.Applied{TopicID: p.TopicID, Generation: p.Generation, Next: p.Next, Rebuild: p.Rebuild}
}

// Adopt records origin and next, and reports whether the log is another one than before: then what is staged is of no use. A rebuild that was
// under way for the other log starts anew from the new one's start; with next 0 it isn't needed, since everything is read anyway.
func (p *Place) Adopt(origin stream.Origin, next int64) (another bool) {
	if another = p.TopicID != origin.TopicID || p.Generation != origin.Generation; another {
		if p.Rebuild != nil && next > 0 {
			p.Rebuild = &stream.Rebuild{End: next}
		} else {
			p.Rebuild = nil
		}
	}
	p.TopicID, p.Generation, p.Next = origin.TopicID, origin.Generation, next
	return another
}

// Staged reports whether the stage holds the whole rebuild up to an offset.
func (p Place) Staged(end int64) bool {
	return p.Rebuild != nil && p.Rebuild.End == end && p.Rebuild.Next == end
}

// Move is what a step does to a place.
type Move uint8

// The moves.
const (
	Live   Move = iota // Next goes from From to To
	Stage              // the rebuild's Next does
	Finish             // the rebuild that ends at To is over
)

// Step is a transaction that must not be done twice.
type Step struct {
	Move     Move
	From, To int64
}

// Landed reports whether the place is as the step leaves it.
func (s Step) Landed(p Place) bool {
	switch s.Move {
	case Live:
		return p.Next == s.To
	case Stage:
		return p.Rebuild != nil && p.Rebuild.Next == s.To
	default:
		return p.Rebuild == nil && p.Next >= s.To
	}
}

// LostAnswer says that a transaction may or may not have been committed.
type LostAnswer struct{ Err error }

// Error implements error.
func (l *LostAnswer) Error() string { return "COMMIT was not confirmed: " + l.Err.Error() }

// Unwrap is what the connection said.
func (l *LostAnswer) Unwrap() error { return l.Err }
