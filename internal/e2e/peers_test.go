package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/internal/testenv"
)

const peersFlow = `flow: NAME
kafka: { brokers: ["BROKER"], partitions: 4 }
sources: { page: { files: { root: ., include: ["**/*.md", "**/*.mdx"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, max_tokens: 256, each: chunk }
  vector: { op: embed, in: chunk.text, model: lexical }
tables:
  pages:  { columns: { path: page.path, title: body.title } }
  chunks: { for: chunk, key: chunk.id, columns: { path: page.path, text: chunk.text, embedding: vector } }
targets:
  local:  { sqlite: { path: out.db }, tables: [pages, chunks] }
  db:     { postgres: { url: "env:PG_URL", schema: peers }, tables: [pages, chunks] }
  search: { qdrant: { url: "env:QDRANT_URL" }, tables: { pages: { table: NAME-pages }, chunks: { table: NAME-chunks } } }
  online: { redis: { url: "env:REDIS_URL", prefix: NAME }, tables: [pages, chunks] }
  out:    { topic: { prefix: "NAME." }, tables: [pages, chunks] }
  text:   { opensearch: { url: "env:OPENSEARCH_URL", prefix: NAME- }, tables: { pages: { replicas: 0 }, chunks: { replicas: 0 } } }
  kg:     { neo4j: { url: "env:NEO4J_URL", password: "env:NEO4J_PASSWORD" }, tables: { pages: { node: LABEL_page }, chunks: { node: LABEL_chunk } } }
  lake:   { lancedb: { url: "env:LANCEDB_URL", namespace: [NAME] }, tables: [pages, chunks] }
  wh:
    snowflake: { account: test, url: "env:SNOWFLAKE_URL", user: u, password: "env:SNOWFLAKE_PASSWORD", database: FRESHET, schema: LABEL }
    tables: [pages, chunks]
  hook:   { webhook: { url: "env:WEBHOOK_URL", secret: "env:WEBHOOK_SECRET" }, tables: [pages, chunks] }
  shelf:
    feast: { url: "env:FEAST_URL", books: NAME }
    tables: { pages: { view: NAME-pages, pages: 64 }, chunks: { view: NAME-chunks, pages: 512 } }
`

// steady are the targets that are there all the time; away are those that are not.
var (
	steady = []string{"local", "db", "online", "out", "text", "kg", "lake", "wh", "hook"}
	away   = []string{"search", "shelf"}
)

// peers is a flow whose targets are peers, fed with a recorded history.
type peers struct {
	*project
	topic   *topic
	feed    *feed
	replica *process
}

// feed writes a history's commits to the source's topic, as a watcher would.
type feed struct {
	commits   []history.Commit
	selection history.Selection
}

func newFeed(t *testing.T, corpus string) *feed {
	t.Helper()
	return &feed{commits: commits(t, corpus), selection: history.Selection{Source: "page", MaxBytes: 16 << 20}}
}

// commits are those of a recorded history.
func commits(t testing.TB, corpus string) (all []history.Commit) {
	t.Helper()
	path := filepath.Join("..", "..", "..", "shared", "corpus", corpus)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the corpus %s is not beside the repository", corpus)
	}
	from, err := history.OpenCorpus(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	for {
		c, err := from.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
}

// next writes the next n commits.
func (f *feed) next(to *topic, n int) {
	var records []*kgo.Record
	for _, c := range f.commits[:n] {
		for _, e := range c.Edits {
			r := f.selection.Record(e, c.Time.UnixNano())
			out := &kgo.Record{Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			records = append(records, out)
		}
	}
	f.commits = f.commits[n:]
	to.produce(records...)
}

// standing is what status says of a flow.
type standing struct {
	Replicas []struct {
		Counts struct {
			Nodes map[string]struct{ Computed int }
		}
	}
	Partitions []struct{ Busy bool }
	SourceLag  *int64 `json:"source_lag"`
	Targets    []struct {
		Target     string
		Rebuilding bool
		Lag        *int64
	}
}

func (p *peers) start() *process {
	p.replica = p.run("--role", "process,sinks")
	return p.replica
}

// settled waits until all is processed, and these targets have all of it.
func (p *peers) settled(targets ...string) (s standing) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		c := p.command("status", "--json")
		c.wait()
		s = standing{}
		// Right after a restart the group may still know the process before, which does not answer.
		if json.Unmarshal(c.stdout.Bytes(), &s) == nil && s.complete(targets) {
			return s
		}
		select {
		case <-tick.C:
		case <-p.replica.done:
			p.t.Fatalf("the replica ended: %s", p.replica.stderr.String())
		case <-ctx.Done():
			p.t.Fatalf("the flow does not catch up: %s%s", c.stdout.String(), c.stderr.String())
		}
	}
}

func (s standing) complete(targets []string) bool {
	if s.SourceLag == nil || *s.SourceLag > 0 || len(s.Partitions) < 4 {
		return false
	}
	for _, part := range s.Partitions {
		if part.Busy {
			return false
		}
	}
	for _, name := range targets {
		for _, t := range s.Targets {
			if t.Target == name && (t.Lag == nil || *t.Lag > 0 || t.Rebuilding) {
				return false
			}
		}
	}
	return true
}

// TestPeers: one flow keeps all targets at once through a real history. Two that are away for the second half of it hold up
// no other, catch up, and compute nothing. In the end verify finds no difference in any.
func TestPeers(t *testing.T) {
	var shelf *testenv.FeastServer // one for both: it takes long to start
	for _, corpus := range []string{"cocoindex-docs.ndjson.gz", "prometheus-docs.ndjson.gz"} {
		feed := newFeed(t, corpus)
		if shelf == nil {
			shelf = testenv.Feast(t)
		}
		t.Run(corpus, func(t *testing.T) { playPeers(t, feed, shelf) })
	}
}

func playPeers(t *testing.T, feed *feed, shelf *testenv.FeastServer) {
	broker, search := testenv.SharedKafka(t), testenv.Qdrant(t, testenv.QdrantOptions{})
	graph := testenv.SharedNeo4j(t)
	hook, _ := newReceiver(t, "s3cret")
	label := testenv.Name(t)
	name := strings.ReplaceAll(label, "_", "-")
	flow := strings.NewReplacer("NAME", name, "LABEL", label, "BROKER", broker.Addr()).Replace(peersFlow)
	p := &peers{project: newProject(t, flow), feed: feed}
	p.env = []string{"PG_URL=" + testenv.SharedPostgres(t).NewDatabase(t).URL, "QDRANT_URL=" + search.URL(),
		"REDIS_URL=" + testenv.SharedRedis(t).URL(), "OPENSEARCH_URL=" + testenv.SharedOpenSearch(t).URL(),
		"NEO4J_URL=bolt://" + graph.User() + "@" + graph.Addr(), "NEO4J_PASSWORD=" + graph.Password(),
		"LANCEDB_URL=" + testenv.SharedLance(t).URL(), "SNOWFLAKE_URL=" + testenv.SharedSnowflake(t).URL(), "SNOWFLAKE_PASSWORD=pw",
		"WEBHOOK_URL=" + hook, "WEBHOOK_SECRET=s3cret", "FEAST_URL=" + shelf.URL()}
	shelf.Apply(t, testenv.FeastBooks(name), testenv.FeastRows(name+"-pages", map[string]string{"path": "String", "title": "String"}),
		testenv.FeastRows(name+"-chunks", map[string]string{"path": "String", "text": "String", "embedding": "Array(Float32)"}))
	p.topic = openTopic(t, broker, name+".files.page")

	run := p.start()
	run.until("the source's topic is there", p.topic.exists)
	feed.next(p.topic, len(feed.commits)/2)
	all := slices.Concat(away, steady)
	p.settled(all...)
	search.Kill()
	shelf.Store().Kill()
	feed.next(p.topic, len(feed.commits))
	if s := p.settled(steady...); s.Replicas[0].Counts.Nodes["vector"].Computed == 0 {
		t.Error("nothing was computed at all")
	}
	run.stop()
	run.exits(0)

	search.Start(t)
	shelf.Store().Start(t)
	run = p.start()
	if s := p.settled(all...); s.Replicas[0].Counts.Nodes["vector"].Computed != 0 {
		t.Errorf("a target that catches up let %d vectors be computed", s.Replicas[0].Counts.Nodes["vector"].Computed)
	}
	run.stop()
	run.exits(0)
	rows := p.verify(0, "local").Rows
	if rows == 0 {
		t.Error("there are no rows")
	}
	for _, target := range all {
		p.clean(target, rows)
	}
}
