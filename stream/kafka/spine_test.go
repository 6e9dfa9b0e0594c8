package kafka_test

import "testing"

// TestSpine is a flow's life: changes, no-ops, deletes, a document that is refused and comes back, a clean stop, and a
// start that has lost its disk.
func TestSpine(t *testing.T) {
	play(t, func(s *scene) {
		p := s.start()
		s.write("a.md", "one\ntwo")
		s.write("b.md", "two\nthree")
		s.settle(p)
		s.expect()

		s.write("a.md", "one\ntwo")
		s.settle(p)
		if c := p.totals.Snapshot(); c.Noop != 1 || c.Nodes["shout"].Computed != 3 {
			t.Errorf("after an unchanged file: %+v", c)
		}

		s.write("a.md", "two\nfour")
		s.remove("b.md")
		s.settle(p)
		s.expect()

		s.publish(fileRecord("c.md", "fine\nbad"))
		s.settle(p)
		s.expect()
		if n := sum(p).Quarantined; n != 1 {
			t.Errorf("%d documents quarantined, want 1", n)
		}
		s.write("c.md", "fine")
		s.settle(p)
		s.expect()
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}

		s.stores.lose()
		p = s.start()
		s.write("a.md", "two\nfour\none")
		s.settle(p)
		s.expect()
		if c := p.totals.Snapshot(); c.Nodes["shout"].Computed != 0 {
			t.Errorf("%d results computed again, want 0: memos of old contents are kept", c.Nodes["shout"].Computed)
		}
	})
}
