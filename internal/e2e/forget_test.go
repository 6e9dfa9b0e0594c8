package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestForget: beside a replica that delivers to Postgres, a document is forgotten; what a compaction would leave of the
// flow's topics has nothing of it but deletes, nor has the target.
func TestForget(t *testing.T) {
	n := newNotes(t, testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t))
	n.say("1", "kept")
	n.say("2", "secret")
	p := n.run()
	n.shows(p, "1", "kept")
	n.shows(p, "2", "secret")
	if keys := n.latest("secret"); len(keys) == 0 {
		t.Fatal("no topic of the flow ever had it")
	}
	forget := n.command("forget", "note/2", "--yes")
	forget.exits(0)
	for _, want := range []string{"document note/2 was forgotten", "1 rows of table notes deleted", "db: read back", "0 rows left",
		"its topic " + n.in.name + " keeps the document's records", "not compacted yet"} {
		if !strings.Contains(forget.stdout.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, forget.stdout.String())
		}
	}
	n.holds("2", "")
	n.holds("1", "kept")
	if keys := n.latest("secret"); len(keys) > 0 {
		t.Errorf("it is still under the keys %q", keys)
	}
	n.say("2", "back with its next change")
	n.shows(p, "2", "back with its next change")
	p.stop()
	p.exits(0)
}

// latest are the keys of the flow's topics whose last value has a text.
func (n *notes) latest(text string) (keys []string) {
	n.t.Helper()
	for _, topic := range []string{n.flow + ".rows", n.flow + ".changelog"} {
		last := map[string]string{}
		for _, r := range n.in.committed(topic) {
			last[fmt.Sprintf("%s/%d %q", topic, r.Partition, r.Key)] = string(r.Value)
		}
		for key, value := range last {
			if strings.Contains(value, text) {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// TestForgetQdrant: the same of a target without transactions, by a running `freshet dev`.
func TestForgetQdrant(t *testing.T) {
	server := testenv.Qdrant(t, testenv.QdrantOptions{})
	p := newProject(t, qdrantFlow)
	p.env = []string{"QDRANT_URL=" + server.URL()}
	p.write("docs/a.md", "Herons fish at dawn.")
	p.write("docs/b.md", "The pump was painted green.")
	p.devOnce()
	dev := p.dev()
	var forget *process
	dev.until("it is forgotten", func(context.Context) bool { // once the other delivers
		forget = p.command("forget", "page/a.md", "--yes")
		forget.wait()
		return forget.cmd.ProcessState.Success()
	})
	for _, want := range []string{"search: read back", "0 rows left", "tombstones in target search", "the files of the broker"} {
		if !strings.Contains(forget.stdout.String(), want) {
			t.Errorf("the report does not say %q:\n%s", want, forget.stdout.String())
		}
	}
	same(t, "collection", kept(t, server), []string{"page/b.md The pump was painted green."})
	p.write("docs/a.md", "Herons sleep at noon.")
	dev.until("its next change brings it back", func(context.Context) bool { return len(kept(t, server)) == 2 })
	dev.stop()
	dev.exits(0)
	p.clean("search", 2)
}
