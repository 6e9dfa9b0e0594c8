package flow

import (
	"strings"
	"testing"
)

// TestRates: nodes of one model share its rate; a flow says how often an evaluation may fail.
func TestRates(t *testing.T) {
	f := mustParse(t, strings.NewReplacer("batch: 64", "batch: 64, rate: 2.5", "flow: handbook\n", "flow: handbook\nretry: { attempts: 3 }\n").Replace(handbook))
	if f.Attempts != 3 || mustParse(t, handbook).Attempts != 0 {
		t.Errorf("%d attempts, want 3", f.Attempts)
	}
	seen := false
	for _, s := range f.Program.steps {
		if s.node == nil || s.set.Model == nil {
			continue
		}
		if seen = true; s.node.Rate != 2.5 || s.node.Limit != "model small" && s.node.Limit != "model nomic" {
			t.Errorf("node %s has the rate %v of %s", s.node.Name, s.node.Rate, s.node.Limit)
		}
	}
	if !seen {
		t.Error("no node has a model")
	}
}
