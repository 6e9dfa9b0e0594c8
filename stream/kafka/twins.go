package kafka

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/stream"
)

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
	fenced := errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch)
	return errors.Is(err, kerr.FencedInstanceID) || fenced && time.Since(begun) < c.patience()
}

// twin says, in doing op, that another process took this replica's place.
func twin(op string, err error) error {
	return stream.Errorf(stream.Usage, op, "another process runs as the same replica (%w); give each running replica its own --replica N", err)
}
