package brokertest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// TestRecordersTakeTurns: of processes that record a revision at the same moment one does, and the others hear of it.
func TestRecordersTakeTurns(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	const each = 4
	refused, all := 0, 0
	errs := make(chan error)
	for _, name := range []string{"a", "b", "c"} {
		go func() {
			for done := 0; done < each; {
				r, err := s.cluster.Recorded(s.Context(), s.flow)
				if err == nil {
					next := schemas.Declaration{Revision: 1, Body: fmt.Appendf(nil, "%s%d", name, done)}
					if r.Declaration != nil {
						next.Revision = r.Declaration.Revision + 1
					}
					err = s.cluster.Record(s.Context(), s.flow, next)
				}
				if err == nil {
					done++
				}
				errs <- err
			}
		}()
	}
	for done := 0; done < 3*each; all++ {
		var why *kafka.Outdated
		switch err := <-errs; {
		case err == nil:
			done++
		case !errors.As(err, &why):
			t.Fatal(err)
		default:
			refused++
		}
	}
	recorded, err := s.cluster.Revisions(s.Context(), s.flow)
	if err != nil || len(recorded) != 3*each || recorded[0].Revision != 1 || recorded[3*each-1].Revision != 3*each {
		t.Fatalf("%d revisions are recorded (%v), want %d", len(recorded), err, 3*each)
	}
	by := map[string]int{}
	for _, d := range recorded {
		by[string(d.Body[:1])]++
	}
	if by["a"] != each || by["b"] != each || by["c"] != each {
		t.Errorf("recorded by process: %v, want %d of each", by, each)
	}
	last := recorded[len(recorded)-1]
	if err := s.cluster.Record(s.Context(), s.flow, last); err != nil {
		t.Errorf("the present one once more: %v", err)
	}
	t.Logf("%d of %d were refused", refused, all)
}
