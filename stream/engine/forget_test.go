package engine_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

// TestForget: nothing that only a forgotten document had is left, not even of its earlier versions; what others share
// stays; and the document's next change is as good as its first.
func TestForget(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=Attic body=green,mauve"}, write{"b", "title=B body=green"})
		s.must(t, p, write{"a", "title=Attic body=green,olive"})
		if has := held(p, "MAUVE", "olive", "Attic"); !slices.Equal(has, []string{"MAUVE", "olive", "Attic"}) {
			t.Fatalf("the state holds %q", has)
		}
		s.forget = "a"
		out := s.must(t, p)
		s.forget = ""
		if len(out.Rows) != 3 || out.Counts.Deleted != 1 {
			t.Errorf("%d row records, counts %+v", len(out.Rows), out.Counts)
		}
		if has := held(p, "olive", "MAUVE", "OLIVE", "Attic", "book/a"); len(has) > 0 {
			t.Errorf("the state still holds %q", has)
		}
		if has := held(p, "GREEN"); len(has) == 0 {
			t.Error("what another document shares is gone")
		}
		before := s.op.calls()
		s.must(t, p, write{"a", "title=Attic body=green,olive"})
		if n := s.op.calls() - before; n != 1 { // olive; not even the process remembers it
			t.Errorf("%d words were computed again, want 1", n)
		}
	})
}

// TestForgetWaitsForEvaluations: one that is under way may have found a memo that no document uses yet.
func TestForgetWaitsForEvaluations(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.must(t, p, write{"a", "title=A body=olive"}, write{"b", "title=B body=slow1"})
		s.forget = "a"
		tx, err := s.begin(p, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Finish(); err != nil {
			t.Fatal(err)
		}
		if memos, more := tx.Purged(); len(memos) > 0 || !more {
			t.Errorf("%d memos are dropped beside an evaluation (more: %t)", len(memos), more)
		}
		tx.Abort(s.ev)
		s.op.release("slow1")
		s.must(t, p)
		if has := held(p, "OLIVE"); len(has) > 0 {
			t.Error("the memo is not dropped once nothing is evaluated")
		}
	})
}

// held are those of the texts that lie anywhere in the state.
func held(p *part, texts ...string) []string {
	all := dump(p.store)
	return slices.DeleteFunc(texts, func(text string) bool { return !bytes.Contains(all, fmt.Appendf(nil, "%x", text)) })
}
