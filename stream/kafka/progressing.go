package kafka

import (
	"sync"
	"time"
)

// RestoreProgress says how far the restore of a partition is.
type RestoreProgress struct {
	Records        int64   `json:"records"`   // read so far
	Remaining      int64   `json:"remaining"` // offsets still to be read
	BytesPerSecond float64 `json:"bytes_per_second"`
	Seconds        float64 `json:"seconds_remaining"` // at the pace so far; -1: not known yet
}

// progressing is the progress of a restore under way; it is read concurrently.
type progressing struct {
	mu        sync.Mutex
	began     time.Time
	first     int64
	records   int64
	bytes     int64
	remaining int64
}

func (p *progressing) begin(remaining int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.began, p.first, p.remaining = time.Now(), remaining, remaining
}

func (p *progressing) note(records, bytes, remaining int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records, p.bytes, p.remaining = records, bytes, remaining
}

// now returns nil when nothing has to be read, or it waits for its turn.
func (p *progressing) now() *RestoreProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() {
		return nil
	}
	out := &RestoreProgress{Records: p.records, Remaining: p.remaining, Seconds: -1}
	if s := time.Since(p.began).Seconds(); s > 0 {
		out.BytesPerSecond = float64(p.bytes) / s
		if done := p.first - p.remaining; done > 0 {
			out.Seconds = s / float64(done) * float64(p.remaining)
		}
	}
	return out
}
