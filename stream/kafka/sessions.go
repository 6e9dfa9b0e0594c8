package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/stream"
)

// sessions are those of a loop on transactions, one after the other.
type sessions struct {
	op      string
	cluster Cluster
	session func(context.Context) error // joins the group and works until it breaks
	commits func() int64                // so far
	begun   func() time.Time            // the last transaction
	trouble func(error)                 // told why a session broke
}

// errRestart ends a session that is to be begun anew.
var errRestart = errors.New("session ended")

// run runs sessions until ctx ends (nil) or something needs a person (the error says what). One whose transaction ended in an
// unknown way is followed by one with the same transactional ID, which settles it.
func (s sessions) run(ctx context.Context) error {
	const first, longest = 100 * time.Millisecond, 5 * time.Second
	var taken takeovers
	for wait, progress := first, int64(0); ; wait = min(2*wait, longest) {
		err := s.session(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fatal(err):
			return err
		case s.cluster.rival(err, s.begun()) && taken.again(time.Now()):
			return twin(s.op, err)
		}
		if commits := s.commits(); commits > progress+10 {
			wait, progress = first, commits
		}
		s.trouble(err)
		s.cluster.Log.Warn("a new session begins", "to", s.op, "reason", err, "wait", wait)
		if pause(ctx, wait) != nil {
			return nil
		}
	}
}

// fatal reports whether a new session can't help.
func fatal(err error) bool {
	return stream.KindOf(err) == stream.Usage || errors.As(err, new(*stream.Error)) && stream.KindOf(err) == stream.Internal
}

// takeovers notes when the brokers said that another process took this one's place. Once or twice tells little: a static
// member whose join is repeated on a new connection fences itself, and what a dead process left fences its successor.
// Three times within a minute is a twin, which takes the place back as often as this process does.
type takeovers struct{ last, before time.Time }

// again notes one more, and reports whether there is a twin.
func (t *takeovers) again(now time.Time) bool {
	first := t.before
	t.before, t.last = t.last, now
	return !first.IsZero() && now.Sub(first) < time.Minute
}

// rival reports whether err says that another process took the transactional ID or the place in the group. A transaction
// that was open for longer than the brokers keep one was fenced by its time-out, e.g. while this process stood still: that
// tells nothing, however often it happens.
func (c Cluster) rival(err error, begun time.Time) bool {
	return errors.Is(err, kerr.FencedInstanceID) || isFenced(err) && time.Since(begun) < c.patience()
}

// isFenced reports whether err says that another process took the transactional ID.
func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
}

// twin says, in doing op, that another process took this replica's place.
func twin(op string, err error) error {
	return stream.Errorf(stream.Usage, op, "another process runs as the same replica (%w); give each running replica its own --replica N", err)
}
