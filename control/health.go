package control

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// lifeless is how long a loop may go without a round.
const lifeless = 30 * time.Second

// pulse remembers when each loop was last seen to move.
type pulse struct {
	mu   sync.Mutex
	seen map[string]beat
}

type beat struct {
	ticks int64
	at    time.Time
}

// check returns the loops that have not moved for too long, in order. A loop's time begins when it is first seen.
func (p *pulse) check(ticks map[string]int64, now time.Time) (stuck []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.seen
	p.seen = map[string]beat{}
	for name, n := range ticks {
		b, known := before[name]
		if !known || b.ticks != n {
			b = beat{n, now}
		}
		p.seen[name] = b
		if now.Sub(b.at) >= lifeless {
			stuck = append(stuck, name)
		}
	}
	slices.Sort(stuck)
	return stuck
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	if stuck := s.pulse.check(s.source.Ticks(), time.Now()); len(stuck) > 0 {
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("no round for %s: %v", lifeless, stuck))
		return
	}
	answer(w, struct{}{}, nil)
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	restoring := 0
	for _, p := range s.source.Partitions() {
		if p.State == "restoring" {
			restoring++
		}
	}
	if restoring > 0 {
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d partitions are being restored", restoring))
		return
	}
	answer(w, struct{}{}, nil)
}
