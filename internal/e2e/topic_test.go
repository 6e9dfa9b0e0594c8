package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// published is a flow whose pages go to a SQLite file and to a topic beside it.
type published struct {
	*project
	name string
	out  *topic
}

func newPublished(t *testing.T) *published {
	t.Helper()
	broker := testenv.SharedKafka(t)
	name := strings.ReplaceAll(testenv.Name(t), "_", "-")
	return &published{newProject(t, fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"], partitions: 3 }
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  chunks: { op: split.markdown, in: body, max_tokens: 256, each: chunk }
tables:
  pages:  { columns: { path: page.path, title: body.title } }
  chunks: { for: chunk, key: chunk.id, columns: { path: page.path, text: chunk.text } }
targets:
  local: { sqlite: { path: out.db }, tables: [pages, chunks] }
  out:   { topic: { prefix: "%s." }, tables: { pages: { table: "our pages" }, chunks: {} } }
`, name, broker.Addr(), name)), name, openTopic(t, broker, name)}
}

// fold is a table as a plain consumer makes it of a topic: the value that came last under each key, per partition. It demands
// that versions rise, and that keys are in one partition.
func (p *published) fold(table string) []string {
	p.t.Helper()
	rows, versions, where := map[string]string{}, map[string]int64{}, map[string]int32{}
	for _, r := range p.out.committed(p.name + "." + table) {
		key := string(r.Key)
		version := p.version(r)
		if last, seen := versions[key]; seen && (version <= last || where[key] != r.Partition) {
			p.t.Errorf("%s has version %d in partition %d after %d in %d", key, version, r.Partition, last, where[key])
		}
		versions[key], where[key] = version, r.Partition
		if rows[key] = string(r.Value); r.Value == nil {
			delete(rows, key)
		}
	}
	var lines []string
	for key, value := range rows {
		lines = append(lines, p.line(key, value))
	}
	slices.Sort(lines)
	return lines
}

func (p *published) version(r *kgo.Record) int64 {
	p.t.Helper()
	for _, h := range r.Headers {
		if h.Key == "freshet.version" {
			n, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return n
		}
	}
	p.t.Fatalf("record %s has no version", r.Key)
	return 0
}

// line writes a row as sqliteRows does.
func (p *published) line(key, value string) string {
	p.t.Helper()
	var id []string
	columns := map[string]string{}
	if err := json.Unmarshal([]byte(key), &id); err != nil || len(id) != 2 {
		p.t.Fatalf("key %s: %v", key, err)
	}
	if err := json.Unmarshal([]byte(value), &columns); err != nil {
		p.t.Fatalf("value %s: %v", value, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "_document=%s _key=%s ", id[0], id[1])
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		fmt.Fprintf(&b, "%s=%s ", name, columns[name])
	}
	return b.String()
}

// agrees demands that both targets hold the same, and that neither differs from the rows topic.
func (p *published) agrees() {
	p.t.Helper()
	pages := p.rows("pages")
	same(p.t, "topic of pages", p.fold("our-20pages"), pages)
	chunks := p.rows("chunks")
	same(p.t, "topic of chunks", p.fold("chunks"), chunks)
	p.clean("out", len(pages)+len(chunks))
}

// TestTopic: a plain consumer of the topics has the tables that SQLite has, as files are made, edited and deleted, and after
// the process was killed at random moments.
func TestTopic(t *testing.T) {
	p := newPublished(t)
	p.write("docs/rivers.md", "# Rivers\n\nThey carry.\n\n## Deltas\n\nThey spread.\n")
	p.write("docs/lakes.md", "# Lakes\n\nThey keep.\n")
	p.runOnce()
	if got := len(p.fold("our-20pages")); got != 2 {
		t.Fatalf("%d pages are on the topic, want 2", got)
	}
	p.agrees()
	p.write("docs/rivers.md", "# Rivers\n\nThey carried.\n")
	p.remove("docs/lakes.md")
	p.runOnce()
	p.agrees()

	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	e := &editor{p.project, rand.New(rand.NewPCG(seed, 1)), map[int]bool{}}
	for range 4 {
		run := p.run()
		before := p.out.records("our-20pages")
		run.until("it writes", func(context.Context) bool { e.edit(); return p.out.records("our-20pages") > before+e.random.IntN(20) })
		run.kill()
	}
	p.runOnce()
	if rows := len(p.rows("pages")); rows != len(e.live)+1 {
		t.Errorf("%d pages, want %d", rows, len(e.live)+1)
	}
	p.agrees()
}

// records counts the records of one of the topics, those that are not committed and the ends of transactions too.
func (p *topic) records(table string) (n int) {
	p.t.Helper()
	ends, err := p.adm.ListEndOffsets(p.t.Context(), p.name+"."+table)
	if err != nil || ends.Error() != nil {
		p.t.Fatal(err, ends.Error())
	}
	for _, partition := range ends.Offsets()[p.name+"."+table] {
		n += int(partition.At)
	}
	return n
}

// TestTopicZombie: a replica that stood still while another took its partitions, and then goes on, changes nothing.
func TestTopicZombie(t *testing.T) {
	p := newPublished(t)
	p.write("docs/rivers.md", "# Rivers\n\nThey carry.\n")
	p.runOnce()
	zombie := p.run("--role", "sink:out")
	heir := p.run("--replica", "1", "--role", "watch", "--role", "process", "--role", "sink:local")
	p.write("docs/rivers.md", "# Rivers\n\nThey carried.\n")
	carries := func(text string) func(context.Context) bool {
		return func(context.Context) bool { return strings.Contains(strings.Join(p.fold("chunks"), "\n"), text) }
	}
	zombie.until("the topic has the edit", carries("They carried."))
	if err := zombie.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := p.run("--replica", "2", "--role", "sink:out")
	p.write("docs/rivers.md", "# Rivers\n\nThey will carry.\n")
	second.until("another replica delivers", carries("They will carry."))
	if err := zombie.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.write("docs/lakes.md", "# Lakes\n\nThey keep.\n")
	second.until("the topic has another page", carries("They keep."))
	for _, r := range []*process{zombie, second, heir} {
		r.stop()
		r.exits(0)
	}
	p.runOnce()
	p.agrees()
}

// TestTopicInProcess: `freshet dev` keeps topics on its own broker, also when it is killed.
func TestTopicInProcess(t *testing.T) {
	p := newProject(t, `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
nodes: { body: { op: parse.markdown, in: page.content } }
tables: { pages: { columns: { path: page.path, text: body.text } } }
targets:
  local: { sqlite: { path: out.db }, tables: [pages] }
  out:   { topic: { format: avro }, tables: [pages] }
`)
	e := &editor{p, rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)), map[int]bool{}}
	for range 3 {
		d := p.dev()
		for range 5 {
			e.edit()
		}
		d.until("SQLite has a page", func(ctx context.Context) bool {
			rows, err := querySQLite(ctx, p.dir+"/out.db", "pages") // an error: the table is not there yet
			return err == nil && len(rows) > 0
		})
		d.kill()
	}
	p.devOnce()
	p.clean("out", len(p.rows("pages")))
}
