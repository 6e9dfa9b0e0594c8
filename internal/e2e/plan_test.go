package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// plan is what `freshet plan --json` prints.
type plan struct {
	Flow                        string
	Changes, Targets            []string
	Documents, Refused, Deleted int
	Nodes                       map[string]struct {
		Computed, Reused, Calls, Tokens, Counted int
		Model                                    bool
		Money                                    float64
	}
	Tables    map[string]struct{ Added, Rewritten, Recomputed, Removed, Same int }
	Evolution []struct{ Name, Effect, What string }
	Unsure    map[string]int
	Seconds   float64
}

// plans asks what the flow file would lead to. It demands exit code 4 if there is something to do, else 0.
func (p *project) plans() (out plan) {
	p.t.Helper()
	c := p.command("plan", "--json")
	c.wait()
	code := c.cmd.ProcessState.ExitCode()
	dec := json.NewDecoder(strings.NewReader(c.stdout.String()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		p.t.Fatalf("the plan: exit code %d, %v\n%s%s", code, err, c.stdout.String(), c.stderr.String())
	}
	want := 4
	if out.Documents+len(out.Changes)+len(out.Targets) == 0 {
		want = 0
	}
	if code != want {
		p.t.Errorf("exit code %d, want %d, with %+v", code, want, out)
	}
	return out
}

// foretold demands that what was planned is what was then reported.
func (p *project) foretold(plan plan, r report) {
	p.t.Helper()
	if plan.Documents != r.Documents || len(plan.Unsure) > 0 {
		p.t.Errorf("%d documents were planned, and in %v something was not known; %d were evaluated", plan.Documents, plan.Unsure, r.Documents)
	}
	for name, did := range r.Nodes {
		if n := plan.Nodes[name]; n.Computed != did.Computed || n.Reused != did.Reused {
			p.t.Errorf("node %s: planned %+v, did %+v", name, n, did)
		}
	}
	for name, did := range r.Tables {
		t := plan.Tables[name]
		least := t.Added + t.Rewritten // what is computed anew may turn out as it was
		if did.Upserts < least || did.Upserts > least+t.Recomputed || t.Removed != did.Deletes || least+t.Recomputed+t.Same != did.Rows {
			p.t.Errorf("table %s: planned %+v, did %+v", name, t, did)
		}
	}
}

// TestPlanTwoModels: what hangs on results of a model that changed is counted too, as far as it can be.
func TestPlanTwoModels(t *testing.T) {
	broker, m, name := testenv.SharedKafka(t), newModelServer(t), strings.ReplaceAll(testenv.Name(t), "_", "-")
	flow := func(model string) string {
		return strings.NewReplacer(
			"flow: pages\nkafka: {", fmt.Sprintf("flow: %s\nkafka: { brokers: [%q],", name, broker.Addr()),
			"lexical: { provider: hash }", fmt.Sprintf("lexical: { provider: openai, base_url: %q, model: %s, dimensions: %d }", m.URL, model, dimensions),
			"tables:\n", "  said: { op: expr, in: 'string(vector == null) + chunk.text' }\n  again: { op: embed, in: said, model: lexical }\ntables:\n",
			"vector: vector }", "vector: vector, again: again }").Replace(pageFlow)
	}
	p := newProject(t, flow("one")).pages()
	p.command("plan").complains(2, "has not run yet")
	p.runOnce()
	if again := p.plans(); again.Documents != 0 || again.Tables["pages"].Same != 3 {
		t.Errorf("of a flow that did not change: %+v", again)
	}
	m.taken()
	p.write("flow.yaml", flow("two"))
	plan := p.plans()
	if n := len(m.taken()); n != 0 {
		t.Errorf("planning sent %d inputs to the model", n)
	}
	p.apply(2)
	p.foretold(plan, p.runOnce())
	planned := plan.Nodes["vector"].Computed + plan.Nodes["again"].Computed
	if n := len(m.taken()); n != planned || n == 0 {
		t.Errorf("%d inputs were sent to the model, %d planned", n, planned)
	}
	if v, a := plan.Nodes["vector"], plan.Nodes["again"]; !v.Model || v.Calls == 0 || v.Tokens == 0 || v.Counted != v.Computed || a.Computed == 0 || a.Counted != 0 {
		t.Errorf("vector %+v, again %+v", v, a)
	}
}
