package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// swelling makes of a line that says "huge" more than a record can hold.
type swelling struct{ shouter }

func (swelling) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	out, err := shouter{}.Apply(ctx, in)
	for i, v := range in {
		if err == nil && strings.Contains(v.Str(), "huge") {
			out[i] = stream.StringOf(strings.Repeat("X", kafka.MaxRecord+1))
		}
	}
	return out, err
}

// TestRowLargerThanARecord (F24): the document is quarantined within the transaction that carries the others of its batch:
// nothing loops, its last good rows stay, a newer change revives it. The same holds for a stored result.
func TestRowLargerThanARecord(t *testing.T) {
	for name, costly := range map[string]bool{"row": false, "result": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				large := func(c *setup) {
					c.program = newLinesWith(swelling{})
					c.program.shout.Costly, c.program.brief = costly, costly
				}
				p := s.start(large)
				s.write("00.md", "good")
				s.settle(p)
				aborts := p.proc.Metrics.Aborts.Load()
				good := s.files["00.md"]
				var batch []stream.Record
				for i, path := range paths(9) {
					s.files[path] = fmt.Sprint("line ", i)
					batch = append(batch, fileRecord(path, s.files[path]))
				}
				s.files["00.md"] = good
				batch = slices.Insert(batch[1:], 4, fileRecord("00.md", "huge\nand more"))
				s.publish(batch...)
				s.settle(p)
				s.expect()
				if n := sum(p).Quarantined; n != 1 {
					t.Errorf("%d documents quarantined, want 1", n)
				}
				if n := p.proc.Metrics.Aborts.Load() - aborts; n > 0 {
					t.Errorf("%d transactions aborted", n)
				}
				commits := p.proc.Metrics.Commits.Load()
				s.wait(soon)
				if n := p.proc.Metrics.Commits.Load() - commits; n > 0 {
					t.Errorf("%d transactions while nothing comes", n)
				}
				s.end(p)
				p = s.start(large)
				s.settle(p)
				s.write("00.md", "small")
				s.settle(p)
				s.expect()
				if n := sum(p).Quarantined; n != 0 {
					t.Errorf("%d documents quarantined after a change", n)
				}
			})
		})
	}
}
