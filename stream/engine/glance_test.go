package engine_test

import "testing"

// Records that repeat an image are recognised without decoding them; whatever else happens to the document, by records of
// another key too, is not missed.
func TestGlancing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		s.decoder = glancing{}
		if err := s.restart(false); err != nil {
			t.Fatal(err)
		}
		const one, two = "title=A body=red", "title=B body=red"
		for i, step := range []struct {
			writes        []write
			noop, applied int64
		}{
			{[]write{{"a", one}}, 0, 1},
			{[]write{{"a", one}, {"a", one}}, 2, 0},              // by its fingerprint, then at a glance
			{[]write{{"a'", two}}, 0, 1},                         // the same document
			{[]write{{"a", one}}, 0, 1},                          // what was noted is no longer so
			{[]write{{"a", one}, {"a'", one}, {"a", one}}, 3, 0}, // noted by either key
			{[]write{{"a", one}, {"a", two}, {"a", one}}, 3, 0},  // away and back: nothing altered in the end
			{[]write{{"a", two}, {"a", two}}, 0, 1},
			{[]write{{"a", two}, {"a", "-"}, {"a", two}}, 3, 0},
			{[]write{{"b", two}, {"b", two}}, 0, 1}, // another document with the same image
			// It begins as the one before: what follows may make it another image, or a delete, and need not.
			{[]write{{"b", two + "|x"}, {"b", two + "|y"}}, 2, 0},
			{[]write{{"b", two + ",more"}}, 0, 1},
			{[]write{{"b", two}}, 0, 1},
			{[]write{{"b", two + "|-"}}, 0, 1},
			{[]write{{"b", two + "|z"}}, 0, 1},
		} {
			out := s.must(t, p, step.writes...)
			if out.Counts.Noop != step.noop || out.Counts.Applied != step.applied {
				t.Errorf("step %d: %d no-ops and %d applied, want %d and %d", i, out.Counts.Noop, out.Counts.Applied, step.noop, step.applied)
			}
			if want := p.record(-1, "a", one).Timestamp.UnixNano(); out.Watermark != want {
				t.Errorf("step %d: the watermark is %d, want the last record's time %d", i, out.Watermark, want)
			}
		}
		// An aborted transaction changes nothing: its images are not noted.
		if err := s.abort(p, []write{{"b", one}, {"b", one}}, false); err != nil {
			t.Fatal(err)
		}
		if out := s.must(t, p, write{"b", two}, write{"b", one}); out.Counts.Applied != 1 {
			t.Errorf("after an abort: %+v", out.Counts)
		}
	})
}
