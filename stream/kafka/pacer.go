package kafka

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/schemas"
)

// pacer holds the backfill to the rate that is asked for: documents a second over all replicas, of which each takes the part
// that its partitions are. It is set from elsewhere than it is asked.
type pacer struct {
	mu    sync.Mutex
	want  schemas.Backfill
	saved float64 // documents that may be taken now
	asked time.Time
	first int // partition that is served first, so that all get their turn

	done  int64 // documents granted since began
	began time.Time
}

// atATime is for how long documents are gathered under a rate: a transaction for each would cost more than they do.
const atATime = 250 * time.Millisecond

func (p *pacer) set(b schemas.Backfill) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.want != b {
		p.want, p.saved, p.done, p.began = b, 0, 0, time.Time{}
	}
}

// earn adds what was earned since it was asked last, and returns how many documents are worth a transaction; p.mu is held.
func (p *pacer) earn(now time.Time, share float64) (worth float64) {
	rate := p.want.Rate * share
	worth = max(1, rate*atATime.Seconds())
	if !p.asked.IsZero() {
		p.saved += rate * now.Sub(p.asked).Seconds()
	}
	p.saved = min(p.saved, max(rate, worth)) // what was not taken in a second is not made up for
	p.asked = now
	return worth
}

// ready reports whether documents may be taken.
func (p *pacer) ready(now time.Time, share float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.want.Paused || p.want.Rate == 0 {
		return !p.want.Paused
	}
	return p.earn(now, share) <= p.saved
}

// grant returns how many documents each partition may take of those that it has left.
func (p *pacer) grant(now time.Time, share float64, left map[int32]int) map[int32]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.want.Paused || len(left) == 0 {
		return nil
	}
	if p.want.Rate > 0 {
		if p.earn(now, share) > p.saved {
			return nil
		}
		left = p.divide(left)
	}
	if p.began.IsZero() {
		p.began = now
	}
	for _, n := range left {
		p.done += int64(n)
	}
	return left
}

// divide gives each partition its part of what was saved, beginning with another one each time; p.mu is held.
func (p *pacer) divide(left map[int32]int) map[int32]int {
	ids := slices.Sorted(maps.Keys(left))
	each := max(1, int(p.saved)/len(ids))
	granted := map[int32]int{}
	for i := range ids {
		id := ids[(p.first+i)%len(ids)]
		if n := min(left[id], each, int(p.saved)); n > 0 {
			granted[id] = n
			p.saved -= float64(n)
		}
	}
	p.first++
	return granted
}

// speed is how many documents a second were taken since the backfill began or its pace was changed; 0: not known.
func (p *pacer) speed(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := now.Sub(p.began); !p.began.IsZero() && d > time.Second && p.done > 0 {
		return float64(p.done) / d.Seconds()
	}
	return 0
}

func (p *pacer) pace() schemas.Backfill {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want
}
