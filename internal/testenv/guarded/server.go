package guarded

import (
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Plan is a seeded choice of faults; each figure is the share of calls, or of items, that it befalls.
type Plan struct {
	Seed                                uint64
	FailItems, Refuse, LoseAnswer, Slow float64
	Delay                               time.Duration // of a slow call
	ReadOnly                            bool
}

// Faults returns what to Inject; nil for the zero Plan.
func (p Plan) Faults() func(Call) Fault {
	if p == (Plan{}) {
		return nil
	}
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(p.Seed, 0))
	return func(c Call) Fault {
		mu.Lock()
		defer mu.Unlock()
		var f Fault
		if random.Float64() < p.Slow {
			f.Delay = p.Delay
		}
		switch {
		case p.ReadOnly && c.changes():
			f.Refuse = "read only"
		case random.Float64() < p.Refuse:
			f.Refuse = "not now"
		}
		f.LoseAnswer = random.Float64() < p.LoseAnswer
		if p.FailItems > 0 {
			of := rand.New(rand.NewPCG(random.Uint64(), 1))
			f.FailItems = func(int) bool { return of.Float64() < p.FailItems }
		}
		return f
	}
}

// ServeHTTP answers the calls of Dial's clients.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var c Call
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = stream.Unmarshal(body, &c)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var a Answer
	switch {
	case c.Op != OpPlan:
		a = s.Do(r.Context(), c)
	case c.Plan != nil:
		s.Inject(c.Plan.Faults())
	}
	answer, err := stream.Marshal(a)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(answer) // who asked may be gone
}
