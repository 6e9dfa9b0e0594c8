package flow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// explained writes a derivation as tests compare it.
func explained(d Derivation, err error) string {
	var b strings.Builder
	fmt.Fprintln(&b, "made", d.Made, err != nil)
	for _, n := range d.Nodes {
		fmt.Fprintf(&b, "%s %s %d %s ran %t: %s -> %s", n.Node, n.Operator, n.Version, n.Element, n.Ran, n.Input, n.Output)
		if n.Opened != nil {
			fmt.Fprintf(&b, " (%s %d of %d)", n.Opened.Element, n.Opened.Index, n.Opened.Of)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

func TestExplain(t *testing.T) {
	p := mustParse(t, traced).Program
	got := explained(p.Explain(t.Context(), page("a", "x y"), "words", "y!", newCounted()))
	for _, want := range []string{"made true false\n", `words expr 1  ran true: ["x", "y"] -> "y" (word 1 of 2)`, `upper expr 1 word ran true: "y!" -> "y!"`,
		`vector embed 1 word ran true: "y!" -> vector(f32`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	// What is of each element is left out of a row that there is none of.
	if got := explained(p.Explain(t.Context(), page("a", "x y"), "words", "z!", newCounted())); !strings.HasPrefix(got, "made false false\nwords") || strings.Contains(got, "upper") {
		t.Errorf("got %s", got)
	}
	if got := explained(p.Explain(t.Context(), page("secret", "x"), "words", "x!", newCounted())); got != "made false false\nwords expr 1  ran false: null -> null\n" {
		t.Errorf("got %s", got)
	}
	if got := explained(p.Explain(t.Context(), page("a", "x y"), "words", "y!", refusing{newCounted()})); !strings.Contains(got, "made false true\n") || !strings.Contains(got, `upper expr 1 word ran true: "y!"`) {
		t.Errorf("got %s", got)
	}
	if _, err := p.Explain(t.Context(), page("a", "x"), "none", "", newCounted()); stream.KindOf(err) != stream.Usage {
		t.Errorf("got %v", err)
	}
}

// TestExplainWithoutMemos: what hangs on a result that nobody has is a stand-in, and the row is found all the same.
func TestExplainWithoutMemos(t *testing.T) {
	doc := page("a.md", "# One\n\nshort\n\n# Two\n\nthis one is longer\n")
	p := mustParse(t, poorFlow).Program
	rows := mustEvaluate(t, mustParse(t, poorFlow), doc, newCounted())
	d, err := p.Explain(t.Context(), doc, "chunks", rows[0].Key, poor{newCounted()})
	if err != nil || !d.Made {
		t.Fatalf("%+v, %v", d, err)
	}
	for _, n := range d.Nodes {
		_, in := n.Input.StandsIn()
		_, out := n.Output.StandsIn()
		if wantIn, wantOut := n.Node == "same" || n.Node == "said" || n.Node == "again", n.Node != "body" && n.Node != "chunks"; in && !wantIn || out != wantOut && n.Ran {
			t.Errorf("%s: stands in: %t, %t", n.Node, in, out)
		}
	}
}
