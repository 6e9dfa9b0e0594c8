package engine_test

import (
	"testing"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// TestDocumentsOfASourceThatLeft: the first program without their source deletes them, whatever state they are in, with rows and inputs; it
// finishes what a crash leaves of that. Should the source come back, they are computed again, from what memos hold.
func TestDocumentsOfASourceThatLeft(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"live", "title=A body=red,green"}, write{"plain", "title=B"})
		s.must(t, p, write{"waits", "title=C body=slow,red"}, write{"refused", "title=wrong body=red"}, write{"unread", "?id"})
		if h, err := p.documents(); err != nil || len(h) != 5 || h["book/waits"].Status != engine.Pending || h["book/refused"].Status != engine.Quarantined {
			t.Fatalf("before: %+v, %v", h, err)
		}
		s.program = newBook(2, s.op)
		s.program.left = true
		f, err := engine.Foresee(t.Context(), foreseen{s.program}, []engine.Store{p.store}, func(*stream.Node, stream.Value) (int64, error) { return 0, nil })
		if err != nil || f.Deleted != 5 || f.Documents != 0 || f.Tables["words"].Removed != 2 || f.Tables["pages"].Removed != 2 {
			t.Errorf("foreseen: %+v, %v", f, err)
		}
		if got := s.samples(t, foreseen{s.program}, 5); len(got) > 0 {
			t.Errorf("they are sampled: %v", documentsOf(got))
		}
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		s.commitBacklog(t, p, 2)
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		if n := p.engine.Backlog(); n != 3 {
			t.Errorf("%d documents are left after a crash, want 3", n)
		}
		s.commitBacklog(t, p, 16)
		h, err := p.documents()
		if err != nil || len(h) != 0 || len(p.rows) != 0 || p.engine.Busy() {
			t.Errorf("left: headers %v, rows %v, busy %t, %v", h, p.rows, p.engine.Busy(), err)
		}
		if st := p.engine.Stats(); st.Documents != 0 || st.Pending != 0 || st.Quarantined != 0 || st.Seen.Pending != 0 || p.counts.Deleted != 5 || p.counts.Evaluated != 3 {
			t.Errorf("counted: %+v, %+v", st, p.counts)
		}
		if n := s.op.seen["slow"]; n != 1 {
			t.Errorf("what was pending was tried %d times", n)
		}

		s.program = newBook(1, s.op)
		if err := s.restart(true); err != nil {
			t.Fatal(err)
		}
		s.must(t, p, write{"live", "title=A body=red,green"})
		if got := p.table("book/live"); got != `pages="A" words green="GREEN" words red="RED"` || s.op.seen["red"] != 1 {
			t.Errorf("it came back with %s, and red was computed %d times", got, s.op.seen["red"])
		}
	})
}

// commitBacklog does one transaction without records.
func (s *scene) commitBacklog(t *testing.T, p *part, n int) {
	t.Helper()
	if _, err := s.commit(p, nil, n); err != nil {
		t.Fatal(err)
	}
}
