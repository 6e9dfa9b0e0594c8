package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

func TestHopelessFlows(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts func(i int) string
		want  bool
	}{
		{"all fail alike", func(int) string { return "title=wrong" }, true},
		{"one is good", func(i int) string { return []string{"title=wrong", "title=A"}[i/50%2] }, false},
		{"they fail differently", func(i int) string { return []string{"title=wrong", "body=bad"}[i%2] }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *scene, p *part) {
				var writes []write
				for i := range 99 {
					writes = append(writes, write{fmt.Sprint(i), c.texts(i)})
				}
				s.must(t, p, writes...)
				for range 3 { // one document again and again is one document
					if err := s.abort(p, []write{{"x", c.texts(0)}}, false); err != nil {
						t.Fatal(err)
					}
				}
				s.must(t, p, write{"98", c.texts(0) + " note=x"})
				err := s.ev.Hopeless()
				if (err != nil) != c.want || err != nil && stream.KindOf(err) != stream.Usage {
					t.Errorf("%v, want an error: %t", err, c.want)
				}
			})
		})
	}
}

func TestOneDocumentIsNotHopeless(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		for range 150 {
			if err := s.abort(p, []write{{"x", "title=wrong"}}, false); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.ev.Hopeless(); err != nil {
			t.Error(err)
		}
	})
}

// Pending documents found at start are evaluated while their inputs fit into the room.
func TestResumeKeepsTheBound(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		for i := range 10 {
			s.must(t, p, write{fmt.Sprint(i), fmt.Sprintf("title=T body=slow1 note=%s", strings.Repeat("n", 1000))})
		}
		one := p.engine.PendingBytes() / 10
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		if n := p.engine.PendingBytes(); n != 0 || !p.engine.Busy() {
			t.Errorf("%d pending bytes before Resume, want 0 and a busy partition", n)
		}
		if err := p.engine.Resume(s.ctx, s.ev, 3*one-1); err != nil {
			t.Fatal(err)
		}
		if n := p.engine.PendingBytes(); n != 3*one {
			t.Errorf("%d pending bytes, want three documents of %d", n, one)
		}
		s.op.release("slow1")
		if err := s.drain(p, 50); err != nil {
			t.Fatal(err)
		}
		if n := p.engine.PendingBytes(); n != 0 {
			t.Errorf("%d pending bytes in the end, want 0", n)
		}
	})
}

// Inputs are stored in parts that fit into a small transaction; a smaller one leaves none behind.
func TestLargeInputs(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		for _, c := range []struct{ bytes, parts int }{{10, 0}, {3 << 20, 13}, {600 << 10, 3}, {600 << 10, 3}, {1, 0}} { // small ones may lie elsewhere
			note := strings.Repeat("n", c.bytes)
			out := s.must(t, p, write{"a", "title=T note=" + note})
			if n := p.count('i'); n != int64(c.parts) && c.parts > 0 {
				t.Errorf("%d parts for %d bytes, want %d", n, c.bytes, c.parts)
			}
			for _, e := range out.Entries {
				if len(e.Value) >= 300<<10 {
					t.Errorf("an entry of %d bytes", len(e.Value))
				}
			}
			h, _, err := engine.FindDocument(p.store, "book/a")
			if err != nil {
				t.Fatal(err)
			}
			if in, err := engine.ReadInput(p.store, h); err != nil || in.Field("note").Str() != note {
				t.Errorf("input of %d bytes does not come back: %v", c.bytes, err)
			}
		}
		s.must(t, p, write{"a", "-"}) // leaves nothing: see checkLeftovers
	})
}

// A row that its table can't hold is the program's fault: the partition stops rather than quarantine documents.
func TestRowsThatFitNoTable(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		program := tooWide{s.program}
		s.ev = engine.NewEvaluator(s.ctx, program, s.totals, s.events)
		_, err := s.commit(p, []write{{"a", "title=A"}}, 0)
		if err == nil || stream.KindOf(err) != stream.Internal {
			t.Errorf("%v, want an internal error", err)
		}
	})
}

type tooWide struct{ *book }

func (w tooWide) Evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	return []stream.Row{{Table: "pages", Columns: make([]stream.Value, 2)}}, nil
}

// A mark of a pass survives, and is written once.
func TestPassMark(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		tx := p.engine.Begin()
		tx.MarkPass(7)
		out, err := tx.Finish()
		if err != nil {
			t.Fatal(err)
		}
		p.log = append(p.log, out.Entries...)
		if p.engine.PassMarked() != 0 {
			t.Error("marked before the commit")
		}
		if err := p.store.Apply(out.Entries, stream.Checkpoint{}); err != nil {
			t.Fatal(err)
		}
		tx.Commit()
		if p.engine.PassMarked() != 7 {
			t.Error("not marked after the commit")
		}
		if err := s.restart(false); err != nil || p.engine.PassMarked() != 7 {
			t.Errorf("after a restart: pass %d, %v; want 7", p.engine.PassMarked(), err)
		}
	})
}

// The same changes in the same batches write the same bytes, whatever the order in which evaluations end.
func TestRowsAreDeterministic(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var first string
	for run := range 20 {
		inBubble(t, func(t *testing.T, s *scene, p *part) {
			s.op.batch = 1 + run%3
			random := rand.New(rand.NewPCG(seed, 0))
			for range 5 {
				var writes []write
				for range 6 {
					body := strings.Repeat(fmt.Sprintf("w%d,", random.IntN(9)), 2) + fmt.Sprintf("w%d", random.IntN(9))
					writes = append(writes, write{fmt.Sprint(random.IntN(8)), fmt.Sprintf("title=T%d body=%s", random.IntN(3), body)})
				}
				s.must(t, p, writes...)
			}
			var b strings.Builder
			for _, e := range p.log {
				if e.Key[0] != 'u' && e.Key[0] != 's' { // these hold clock times and sums
					fmt.Fprintf(&b, "%x=%x\n", e.Key, e.Value)
				}
			}
			if first == "" {
				first = b.String()
			}
			if b.String() != first {
				t.Errorf("run %d writes other entries", run)
			}
		})
	}
}

// A document that was deleted and came back within one transaction, to an input that could not be evaluated, keeps no row
// from before its delete.
func TestRowsGoWithADeleteInBetween(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		const good, refused = "title=B body=red", "title=wrong body=red"
		s.must(t, p, write{"a", good})
		s.must(t, p, write{"a", refused})
		if p.table("book/a") == "" {
			t.Fatal("a refused change took the rows away")
		}
		s.must(t, p, write{"a", "-"}, write{"a", refused})
		if rows := p.table("book/a"); rows != "" {
			t.Errorf("rows from before the delete: %s", rows)
		}
	})
}
