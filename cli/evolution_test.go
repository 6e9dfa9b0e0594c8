package cli

import (
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/flow"
)

// TestDestructionIsNamed: a change is refused for what it destroys and nobody named, and for names of what it doesn't destroy.
func TestDestructionIsNamed(t *testing.T) {
	all := []flow.Evolution{{Name: "table:notes", Effect: flow.Safe}, {Name: "column:chunks.lang", Effect: flow.Destructive, What: "removed"},
		{Name: "column:chunks.text", Effect: flow.Rebuild}, {Name: "source:note", Effect: flow.Destructive, What: "removed"}}
	for name, c := range map[string]struct {
		all   []flow.Evolution
		named []string
		want  string
	}{
		"nothing named": {all, nil, "the change destroys column:chunks.lang (removed), source:note (removed); nothing was done; if that is meant, name it: " +
			"freshet apply -f flow.yaml --destroy column:chunks.lang --destroy source:note"},
		"one named": {all, []string{"source:note"}, "the change destroys column:chunks.lang (removed); nothing was done; if that is meant, name it: " +
			"freshet apply -f flow.yaml --destroy column:chunks.lang --destroy source:note"},
		"all named":             {all, []string{"source:note", "column:chunks.lang"}, ""},
		"one too many":          {all, []string{"source:note", "column:chunks.lang", "column:chunks.text"}, "--destroy column:chunks.text: the change does not destroy that"},
		"nothing is destroyed":  {all[:1], nil, ""},
		"named without a cause": {all[:1], []string{"table:notes"}, "does not destroy that, but nothing"},
	} {
		err := agreesToDestroy(c.all, c.named, "freshet apply -f flow.yaml")
		switch {
		case c.want == "" && err == nil:
		case err == nil || c.want == "" || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitUsage:
			t.Errorf("%s: %v", name, err)
		}
	}
}
