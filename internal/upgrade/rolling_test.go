package upgrade

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

const partitions = 6

// TestRolling replaces replicas of the earlier build by today's, and back, one by one, on a real broker while changes
// flow. Every replica takes up the directory that the other build left, by a clean stop or by kill -9 with a transaction
// open, and partitions move between builds, so that each reads what the other wrote: stores, changelog, offset metadata,
// declaration, what members tell their group, the target's own tables. In the end the target equals the model.
func TestRolling(t *testing.T) {
	s := newScene(t, build(t))
	stop := s.background()

	old0 := s.start(0, s.before)
	s.progress(old0)

	// Forward: a newcomer joins, then the old one is replaced on its own directory.
	new1 := s.start(1, s.now)
	s.progress(old0, new1)
	old0.stop()
	new0 := s.start(0, s.now)
	s.progress(new0, new1)

	// Back, on the directories that today's build wrote: one stopped, one killed.
	new1.stop()
	old1 := s.start(1, s.before)
	s.progress(new0, old1)
	new0.kill()
	old0 = s.start(0, s.before)
	s.progress(old0, old1)

	// Forward again after a kill; then each build takes over all partitions from the other.
	old1.kill()
	new1 = s.start(1, s.now)
	s.progress(old0, new1)
	old0.stop()
	s.progress(new1)
	old0 = s.start(0, s.before)
	s.progress(old0, new1)
	new1.stop()
	s.progress(old0)
	old0.stop()

	polls := stop()
	for name, bin := range map[string]string{"the earlier build": s.before, "today's build": s.now} {
		s.once("rolled", name, bin)
		s.compare("rolled", name)
	}
	s.once("calm", "the earlier build, undisturbed", s.before)
	if got, want := s.declared("rolled"), s.declared("calm"); got != want {
		t.Errorf("the target differs from an undisturbed run of the earlier build:\n%s", firstDifference(got, want))
	}
	t.Logf("%d changes, %d documents at the end, %d polls", s.revision, len(s.live), polls)
}

// scene is a flow on a real broker with a Postgres target, a model of its source, and a reader that looks for versions
// that fall.
type scene struct {
	builds
	t       *testing.T
	dir     string
	brokers string
	topic   string
	db      *testenv.Database
	cl      *kgo.Client
	adm     *kadm.Client

	revision int
	live     map[int]doc
}

// doc is what the source says of a document.
type doc struct {
	rev        int
	paragraphs []string
}

func newScene(t *testing.T, b builds) *scene {
	s := &scene{builds: b, t: t, dir: t.TempDir(), topic: testenv.Name(t) + ".public.docs", live: map[int]doc{}}
	s.brokers = testenv.SharedKafka(t).Addr()
	s.db = testenv.SharedPostgres(t).NewDatabase(t)
	var err error
	if s.cl, err = kgo.NewClient(kgo.SeedBrokers(s.brokers), kgo.DefaultProduceTopic(s.topic), kgo.MetadataMinAge(100*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cl.Close)
	s.adm = kadm.NewClient(s.cl)
	if _, err := s.adm.CreateTopics(t.Context(), partitions, 1, nil, s.topic); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rolled", "calm"} {
		text := fmt.Sprintf(`flow: %s
kafka: { brokers: ["%s"] }
sources:
  doc:
    debezium: { topic: "%s" }
    fields: { id: int, rev: int, body: string }
models: { lexical: { provider: hash } }
nodes:
  chunks: { op: split.text, in: doc.body, max_tokens: 24, each: chunk }
  vector: { op: embed, in: chunk.text, model: lexical }
tables:
  docs:   { columns: { rev: doc.rev, parts: 'size(chunks)' } }
  chunks: { for: chunk, key: chunk.id, columns: { rev: doc.rev, text: chunk.text, embedding: vector } }
targets:
  db: { postgres: { url: "env:UPGRADE_URL", schema: "%s" }, tables: [docs, chunks] }
`, name, s.brokers, s.topic, name)
		if err := os.WriteFile(filepath.Join(s.dir, name+".yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// start runs a replica of flow rolled; replicas keep their directories whatever build runs them.
func (s *scene) start(replica int, bin string) *process {
	s.t.Helper()
	name := "replica " + fmt.Sprint(replica) + " of today's build"
	if bin == s.before {
		name = "replica " + fmt.Sprint(replica) + " of the earlier build"
	}
	return start(s.t, name, bin, s.dir, s.env(), "run", "-f", "rolled.yaml", "--replica", fmt.Sprint(replica), "--log-level", "info")
}

func (s *scene) env() []string { return []string{"UPGRADE_URL=" + s.db.URL} }

// once lets a flow catch up.
func (s *scene) once(flow, name, bin string) {
	s.t.Helper()
	p := start(s.t, name, bin, s.dir, s.env(), "run", "-f", flow+".yaml", "--once", "--json", "--log-level", "info")
	p.wait(0)
	s.continued(p)
}

// continued requires that the state that a process found was good enough for it.
func (s *scene) continued(p *process) {
	s.t.Helper()
	for _, complaint := range []string{"is wiped", "can't be read", "partition stopped", "state_divergence"} {
		if strings.Contains(p.log.String(), complaint) {
			s.t.Errorf("%s did not go on from what the other build left:\n%s", p.name, p.log.String())
		}
	}
}

// progress waits until the running replicas own all partitions, each at least one; then until processors and deliveries
// have done all that was written until then.
func (s *scene) progress(running ...*process) {
	s.t.Helper()
	until(s.t, fmt.Sprintf("%d replicas share the partitions", len(running)), running, func() bool {
		owned, total := s.owned("rolled"), 0
		for _, n := range owned {
			total += n
		}
		return len(owned) == len(running) && total == partitions
	})
	ends := s.ends(s.topic, 0)
	until(s.t, "the processors commit what is written now", running, func() bool { return s.past("rolled", s.topic, ends) })
	ends = s.ends("rolled.rows", 1) // the last position may be a commit marker, which a delivery has no reason to pass
	until(s.t, "the target has what the rows topic holds now", running, func() bool { return s.past("rolled.db", "rolled.rows", ends) })
	for _, p := range running {
		s.continued(p)
	}
}

// owned counts partitions by replica, as the group's coordinator says; a replica without any is not in it.
func (s *scene) owned(group string) map[string]int {
	described, err := s.adm.DescribeGroups(s.t.Context(), group)
	if err != nil || described[group].State != "Stable" {
		return nil
	}
	counts := map[string]int{}
	for _, m := range described[group].Members {
		if a, ok := m.Assigned.AsConsumer(); ok && m.InstanceID != nil {
			for _, topic := range a.Topics {
				counts[*m.InstanceID] += len(topic.Partitions)
			}
		}
	}
	return counts
}

// ends are a topic's end offsets by partition, less so many, where there are records.
func (s *scene) ends(topic string, less int64) map[int32]int64 {
	s.t.Helper()
	listed, err := s.adm.ListEndOffsets(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	ends := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			ends[o.Partition] = o.Offset - less
		}
	})
	return ends
}

// past reports whether a group has committed all before the ends.
func (s *scene) past(group, topic string, ends map[int32]int64) bool {
	committed, err := s.adm.FetchOffsets(s.t.Context(), group)
	if err != nil {
		return false
	}
	for p, end := range ends {
		if o, ok := committed.Lookup(topic, p); !ok || o.At < end {
			return false
		}
	}
	return true
}

// background writes changes and reads the target until the returned function is called, which says how often it read.
func (s *scene) background() (stop func() (polls int)) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var group sync.WaitGroup
	r := &reader{highest: map[string]int64{}}
	group.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for step := 0; ctx.Err() == nil; step++ {
			<-tick.C
			if err := s.write(ctx, step); err != nil && ctx.Err() == nil {
				s.t.Errorf("write changes: %v", err)
				return
			}
		}
	})
	group.Go(func() {
		if err := r.run(ctx, s.db.URL, "rolled"); err != nil && ctx.Err() == nil {
			s.t.Errorf("read the target: %v", err)
		}
	})
	return func() int {
		cancel()
		group.Wait()
		for _, f := range r.faults[:min(len(r.faults), 10)] {
			s.t.Error(f)
		}
		if r.polls == 0 {
			s.t.Error("the reader saw nothing")
		}
		return r.polls
	}
}

// write changes a few documents; each is created, changed, deleted and created again in turn.
func (s *scene) write(ctx context.Context, step int) error {
	const documents = 40
	var records []*kgo.Record
	for i := range 4 {
		id := (step*4 + i) * 7 % documents
		s.revision++
		if d, alive := s.live[id]; alive && s.revision%5 == 0 {
			delete(s.live, id)
			records = append(records, removal(id, d.rev)...)
			continue
		}
		d := edition(id, s.revision)
		s.live[id] = d
		records = append(records, change(id, d))
	}
	// What was begun is finished: the model has it already.
	return s.cl.ProduceSync(context.WithoutCancel(ctx), records...).FirstErr()
}

// edition is a document's text as of a revision. A part changes now and then only, so that results are reused.
func edition(id, rev int) doc {
	d := doc{rev: rev}
	for part := range 1 + rev%5 {
		d.paragraphs = append(d.paragraphs, fmt.Sprintf("Document %d says in part %d, of edition %d, that the river carries what it is given.", id, part, rev/(40*(part+2))))
	}
	return d
}

func change(id int, d doc) *kgo.Record {
	value := fmt.Sprintf(`{"before":null,"after":{"id":%d,"rev":%d,"body":%q},"source":{"connector":"postgresql","lsn":%d,"ts_ms":1700000000000},"op":"u","ts_ms":1700000000000}`,
		id, d.rev, strings.Join(d.paragraphs, "\n\n"), d.rev)
	return &kgo.Record{Key: fmt.Appendf(nil, `{"id":%d}`, id), Value: []byte(value)}
}

func removal(id, rev int) []*kgo.Record {
	key := fmt.Appendf(nil, `{"id":%d}`, id)
	value := fmt.Sprintf(`{"before":{"id":%d},"after":null,"source":{"connector":"postgresql","lsn":%d,"ts_ms":1700000000000},"op":"d","ts_ms":1700000000000}`, id, rev)
	return []*kgo.Record{{Key: key, Value: []byte(value)}, {Key: key}}
}

// compare holds the target against the model: of every live document its revision, its number of parts and their texts.
func (s *scene) compare(schema, after string) {
	s.t.Helper()
	var want []string
	for id, d := range s.live {
		want = append(want, fmt.Sprintf("doc/%d | %d | %d", id, d.rev, len(d.paragraphs)))
		for _, text := range d.paragraphs {
			want = append(want, fmt.Sprintf("doc/%d | %d | %s", id, d.rev, text))
		}
	}
	got := s.query(fmt.Sprintf(`select concat_ws(' | ', _document, rev, parts) from %[1]s.docs
		union all select concat_ws(' | ', _document, rev, text) from %[1]s.chunks`, schema))
	slices.Sort(want)
	if len(want) == 0 {
		s.t.Fatal("no document is left: the comparison says nothing")
	}
	if a, b := strings.Join(got, "\n"), strings.Join(want, "\n"); a != b {
		s.t.Errorf("after %s caught up, the target is not what the source says:\n%s", after, firstDifference(a, b))
	}
}

// declared returns the keys and declared columns of a schema, sorted, as text.
func (s *scene) declared(schema string) string {
	s.t.Helper()
	return strings.Join(s.query(fmt.Sprintf(`select concat_ws(' | ', 'docs', _document, _key, rev, parts) from %[1]s.docs
		union all select concat_ws(' | ', 'chunks', _document, _key, rev, text, embedding::text) from %[1]s.chunks`, schema)), "\n")
}

func (s *scene) query(sql string) []string {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.db.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(s.t.Context())) }()
	rows, err := conn.Query(s.t.Context(), sql)
	if err != nil {
		s.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func firstDifference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-200)
	return fmt.Sprintf("got  …%s\nwant …%s", got[from:min(len(got), i+200)], want[from:min(len(want), i+200)])
}
