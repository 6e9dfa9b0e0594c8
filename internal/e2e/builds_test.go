package e2e

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// buildNewer makes, once, a build whose parse.markdown is of the next version, which marks a title that it takes from a heading.
var buildNewer = sync.OnceValue(func() error {
	return testenv.Edited(newerPath, "operators/parse/markdown.go", [2]string{"Version: 1,", "Version: 2,"}, [2]string{"return s.Title\n", "return s.Title + \" (newer)\"\n"})
})

// newer is the same directory, run by the newer build.
func (p *project) newer() *project {
	p.t.Helper()
	if err := buildNewer(); err != nil {
		p.t.Fatal(err)
	}
	q := *p
	q.binary = newerPath
	return &q
}

// TestPlanOfAnotherBuild: the plan of a build whose parser is another says what follows from that, and apply and run do just this: all documents
// are parsed, and models are asked where their input is another by that. A build that can't run what is in force refuses it, and says
// what helps. The older build takes the flow back without a call of a model.
func TestPlanOfAnotherBuild(t *testing.T) {
	t.Parallel()
	broker, of, spared := testenv.SharedKafka(t), newModelServer(t), newModelServer(t)
	model := func(m *modelServer) string {
		return fmt.Sprintf("{ provider: openai, base_url: %q, model: one, dimensions: %d }", m.URL, dimensions)
	}
	flow := strings.NewReplacer("{ lexical: { provider: hash } }", fmt.Sprintf("{ lexical: %s, spared: %s }", model(of), model(spared)),
		"tables:\n", "  words:  { op: embed, in: chunk.text, model: spared }\n  called: { op: embed, in: page.name, model: spared }\ntables:\n",
		"vector: vector }", "vector: vector, words: words }", "path: page.path, title:", "path: page.path, called: called, title:").Replace(pageFlow)
	onBroker := strings.Replace(flow, "flow: pages\nkafka: {", fmt.Sprintf("flow: %s\nkafka: { brokers: [%q],", strings.ReplaceAll(testenv.Name(t), "_", "-"), broker.Addr()), 1)
	older := newProject(t, onBroker).pages()
	older.write("docs/ponds.md", "---\ntitle: Ponds\n---\n# Still water\n\nPonds are small.\n") // its title is no heading's
	older.runOnce()
	before := map[string][]string{"pages": older.rows("pages"), "chunks": older.rows("chunks")}
	of.taken()
	spared.taken()

	newer := older.newer()
	newer.run("--once").complains(2, "revision 1 of the flow can't be run by this build", "node parsed changed", "freshet apply -f")
	plan := newer.plans()
	if n := len(of.taken()); n != 0 {
		t.Errorf("planning sent %d inputs to the model", n)
	}
	chunks := len(before["chunks"])
	for node, want := range map[string][2]int{"parsed": {4, 0}, "chunks": {4, 0}, "vector": {chunks - 1, 1}, "words": {0, chunks}, "called": {0, 4}} {
		if n := plan.Nodes[node]; n.Computed != want[0] || n.Reused != want[1] {
			t.Errorf("of node %s %d computed and %d reused are planned, want %v", node, n.Computed, n.Reused, want)
		}
	}
	newer.apply(2)
	older.run("--once").complains(2, "revision 2 of the flow can't be run by this build", "node parsed changed", "start a build that can", "freshet apply -f")
	newer.foretold(plan, newer.runOnce())
	if n, m := len(of.taken()), len(spared.taken()); n != plan.Nodes["vector"].Computed || m != 0 {
		t.Errorf("models were asked for %d and %d inputs, planned were %d and none", n, m, plan.Nodes["vector"].Computed)
	}
	holds(t, newer.rows("pages"), "path=rivers.md", "title=Rivers (newer)")
	scratch := newer.fresh()
	scratch.write("flow.yaml", flow)
	scratch.devOnce()
	for _, table := range tables {
		same(t, table, newer.rows(table), scratch.rows(table))
	}
	of.taken()
	if r := newer.runOnce(); r.Documents != 0 || len(of.taken()) != 0 {
		t.Errorf("the change was taken over twice: %+v", r)
	}

	back := older.plans()
	older.apply(3)
	older.foretold(back, older.runOnce())
	if n := len(of.taken()); n != 0 || back.Nodes["vector"].Reused != chunks {
		t.Errorf("the older build sent %d inputs to the model again; planned was %+v", n, back.Nodes)
	}
	for _, table := range tables {
		same(t, table, older.rows(table), before[table])
	}
}

// parsedNotes is noteFlow with the title that a build's parser finds; saying (older) or (newer), it says which build's.
func parsedNotes(broker, topic, name string) string {
	return strings.NewReplacer("tables:\n", "nodes:\n  page: { op: parse.markdown, in: '\"# \" + note.text' }\ntables:\n",
		"text: note.text", `text: note.text, said: 'page.title.endsWith(")") ? page.title : page.title + " (older)"'`).Replace(noteFlow(broker, topic, name))
}

// TestBuildsRoll: three replicas under load are replaced by a newer build, whose parser is another, and by the older one again. Once the next build's
// apply is in force, those of the other say why they yield, own no partition and write nothing. No row alternates, no version falls, no note
// is missed; in the end the target is what a flow that begins now makes of the notes.
func TestBuildsRoll(t *testing.T) {
	t.Parallel() // it waits most of the time
	c := newCrowd(t)
	older := newProject(t, parsedNotes(c.in.addr, c.in.name, c.flow))
	older.env = []string{"E2E_URL=" + c.url}
	c.notes.project = older
	newer := older.newer()
	c.edit()
	r := &roll{crowd: c}
	for i := range 3 {
		r.replicas = append(r.replicas, older.run("--replica", strconv.Itoa(i)))
	}
	calm := c.begin(r.replicas[0])
	c.all(r.replicas[0], "the older build shows all", "older")
	r.replicas[0].until("all replicas own partitions", func(ctx context.Context) bool { return r.shared(ctx, 3) })

	r.over(newer, 2, "newer")
	r.over(older, 3, "older")
	calm()
	var want []string
	for id, n := range c.now() {
		want = append(want, fmt.Sprintf("note/%s | %d | %[2]d (older)", id, n))
	}
	slices.Sort(want)
	r.replicas[0].until("the last edits are shown", func(context.Context) bool { return slices.Equal(c.rows("e2e"), want) })
	fresh := newProject(t, strings.Replace(strings.Replace(older.flow, "flow: ", "flow: fresh-", 1), "schema: e2e", "schema: fresh", 1))
	fresh.env = older.env
	fresh.runOnce()
	same(t, "notes", c.rows("fresh"), want)
}

// roll is a flow whose replicas one build runs and then another.
type roll struct {
	*crowd
	replicas []*process
}

// over lets a build apply the flow as the revision, and replaces the replicas by that build, one after the other.
func (r *roll) over(build *project, revision int64, mark string) {
	r.t.Helper()
	if turns := r.turned(); len(turns) > 0 {
		r.t.Errorf("rows changed before: %v", turns)
	}
	build.apply(revision)
	why := fmt.Sprintf("revision %d of the flow can't be run by this build: here it comes to another logic (node page changed)", revision)
	for i, p := range r.replicas {
		p.until("it yields", func(context.Context) bool {
			return strings.Contains(p.stderr.String(), "this replica yields to others")
		})
		if text := p.stderr.String(); !strings.Contains(text, why) {
			r.t.Errorf("replica %d does not say why it yields:\n%s", i, text)
		}
	}
	end, edits := r.written(), r.edits()
	r.replicas[0].until("notes change while all yield", func(context.Context) bool { return r.edits() > edits+20 })
	if now := r.written(); now != end {
		r.t.Errorf("replicas that yield wrote %d records", now-end)
	}
	for i, p := range r.replicas {
		p.stop()
		p.exits(0)
		r.replicas[i] = build.run("--replica", strconv.Itoa(i))
		r.replicas[i].until(fmt.Sprintf("%d replicas of the next build own all partitions", i+1), func(ctx context.Context) bool { return r.shared(ctx, i+1) })
		left := r.replicas[i+1:]
		for _, p := range left {
			if !p.running() {
				r.t.Errorf("a replica that yields ended: %s", p.stderr.String())
			}
		}
		r.replicas[i].until("status says why the others yield", func(context.Context) bool {
			status := build.command("status")
			status.wait()
			return strings.Count(status.stdout.String(), why) == len(left)
		})
	}
	r.all(r.replicas[0], "the next build shows all", mark)
	r.once("went to the next build")
}

// shared reports whether the first n replicas share all partitions, and no other has one.
func (r *roll) shared(ctx context.Context, n int) bool {
	described, err := r.in.adm.DescribeGroups(ctx, r.flow)
	if err != nil || described[r.flow].State != "Stable" {
		return false
	}
	owned, all := map[string]int{}, 0
	for _, m := range described[r.flow].Members {
		if a, ok := m.Assigned.AsConsumer(); ok && m.InstanceID != nil {
			for _, topic := range a.Topics {
				owned[*m.InstanceID] += len(topic.Partitions)
				all += len(topic.Partitions)
			}
		}
	}
	for i := range n {
		if owned["replica-"+strconv.Itoa(i)] == 0 {
			return false
		}
	}
	return len(owned) == n && all == 6
}

// written is the end of the flow's rows topic, over all partitions.
func (r *roll) written() (records int64) {
	r.t.Helper()
	ends, err := r.in.adm.ListEndOffsets(r.t.Context(), r.flow+".rows")
	if err != nil || ends.Error() != nil {
		r.t.Fatal(err, ends.Error())
	}
	ends.Each(func(o kadm.ListedOffset) { records += o.Offset })
	return records
}

// edits is how often a note was changed.
func (c *crowd) edits() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// rows are the notes in a schema of the database, with what they say.
func (c *crowd) rows(schema string) []string {
	c.t.Helper()
	lines, err := query(c.t.Context(), &testenv.Database{URL: c.url}, "select concat_ws(' | ', _document, text, said) from "+schema+".notes")
	if err != nil {
		c.t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}
