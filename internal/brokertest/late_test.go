package brokertest

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/sinks/postgres"
	"github.com/freshet-dev/freshet/sinks/sqlite"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// place is a target that outlives its deliveries, and may be put back to an earlier state while none runs.
type place struct {
	name    string
	open    func() (stream.Sink, error)
	backup  func()
	restore func()
}

// places are one target of each kind.
func (s *scene) places() []*place {
	tables := []stream.TargetTable{{Table: echo{}.Tables()[0]}}
	settings := func(kind stream.SinkSpec, dir string, pairs ...string) func() (stream.Sink, error) {
		var entries []stream.Entry
		for i := 0; i < len(pairs); i += 2 {
			entries = append(entries, stream.Entry{Key: pairs[i], Value: stream.StringOf(pairs[i+1])})
		}
		c := stream.SinkConfig{Settings: stream.Settings{Values: stream.MapOf(entries...), Dir: dir}, Tables: tables}
		return func() (stream.Sink, error) { return kind.New(c) }
	}
	dir := s.TempDir()
	file := filepath.Join(dir, "target.db")
	db := testenv.SharedPostgres(s.T).NewDatabase(s.T)
	s.Setenv("LATE_URL", db.URL)
	store := guarded.NewStore()
	var held []byte
	return []*place{
		{"sqlite", settings(sqlite.Spec(), dir, "path", "target.db"),
			func() { s.copy(file, file+".backup") }, func() { s.copy(file+".backup", file) }},
		{"postgres", settings(postgres.Spec(), "", "url", "env:LATE_URL", "schema", "late"),
			func() { db.Exec(s.T, cloned("late", "backup")) }, func() { db.Exec(s.T, cloned("backup", "late")) }},
		{"guarded", func() (stream.Sink, error) { return guarded.NewSink(store.Client(), tables, guard.Options{}) },
			func() { held = s.must(store.Client().Backup(s.Context())) },
			func() { s.must(nil, store.Client().Restore(s.Context(), held)) }},
	}
}

// cloned is SQL that puts the contents of one schema's tables into another's, which gets the same tables if it has none.
func cloned(from, to string) string {
	return fmt.Sprintf(`create schema if not exists %[2]s; do $$ declare t text; begin
		for t in select tablename from pg_tables where schemaname = '%[1]s' loop
			execute format('create table if not exists %[2]s.%%I (like %[1]s.%%I including all)', t, t);
			execute format('truncate %[2]s.%%I', t);
			execute format('insert into %[2]s.%%I select * from %[1]s.%%I', t, t);
		end loop; end $$`, from, to)
}

func (s *scene) must(b []byte, err error) []byte {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
	return b
}

func (s *scene) copy(from, to string) {
	s.Helper()
	s.must(nil, os.WriteFile(to, s.must(os.ReadFile(from)), 0o600))
}

// delivered is a running delivery.
type delivered struct {
	*kafka.Delivery
	sink     stream.Sink
	rebuilds *counted
	stop     func() error
}

// counted counts the rebuilds of a sink.
type counted struct {
	stream.Sink
	mu       sync.Mutex
	switches map[int32]int
}

func (c *counted) Switch(ctx context.Context, partition int32, end int64) error {
	err := c.Sink.Switch(ctx, partition, end)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.switches[partition]++
	}
	return err
}

// deliver starts a delivery to a target, whose clock is ahead by so much.
func (s *scene) deliver(p *place, ahead time.Duration) *delivered {
	s.Helper()
	sink, err := p.open()
	if err == nil {
		_, err = sink.Open(s.Context(), s.flow, p.name)
	}
	if err != nil {
		s.Fatal(err)
	}
	d := &delivered{sink: sink, rebuilds: &counted{Sink: sink, switches: map[int32]int{}}}
	table := echo{}.Tables()[0]
	d.Delivery = kafka.NewDelivery(kafka.DeliveryConfig{Cluster: s.cluster, Topics: s.topics, Target: p.name, Logic: echo{}.Logic(), Sink: d.rebuilds,
		Tables: map[string]stream.Table{table.Name: table}, Now: func() time.Time { return time.Now().Add(ahead) }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stopped := false
	d.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-done
		if closed := sink.Close(); err == nil {
			err = closed
		}
		return err
	}
	s.Cleanup(func() { _ = d.stop() })
	return d
}

// brings delivers until the target has everything, and returns its rows and how many partitions were rebuilt.
func (s *scene) brings(p *place, ahead time.Duration) (rows map[string]string, rebuilt int) {
	s.Helper()
	d := s.deliver(p, ahead)
	s.arrives(d)
	rows = d.rows(s)
	if err := d.stop(); err != nil {
		s.Fatalf("target %s: %v", p.name, err)
	}
	return rows, len(d.rebuilds.switches)
}

// arrives waits until a delivery has all that is in the rows topic.
func (s *scene) arrives(d *delivered) {
	s.Helper()
	s.until("the target has everything", func() bool {
		ends, err := s.cluster.RowsEnds(s.Context(), s.topics)
		if err != nil {
			s.Log(err) // a busy broker may be without a leader for a moment
			return false
		}
		for _, part := range d.Status() {
			if part.Next >= ends[part.Partition] && !part.Rebuilding && !d.RebuildAsked() {
				delete(ends, part.Partition)
			}
		}
		return len(ends) == 0
	})
}

func (d *delivered) rows(s *scene) map[string]string {
	s.Helper()
	rows := map[string]string{}
	err := d.sink.(stream.Reader).ReadRows(s.Context(), "echo", func(w stream.RowWrite) error {
		rows[strings.TrimPrefix(w.Document, "page/")] = w.Columns[0].Str()
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return rows
}

// same compares a target with the source's files.
func (s *scene) same(p *place, rows map[string]string) {
	s.Helper()
	if !maps.Equal(rows, s.files) {
		s.Errorf("target %s holds %d rows, the source gives %d, or they differ: %v, want %v", p.name, len(rows), len(s.files), rows, s.files)
	}
}

// compacting is a broker that compacts soon.
func compacting(t *testing.T) *testenv.Broker {
	return testenv.Kafka(t, testenv.KafkaOptions{Properties: map[string]string{"log.cleaner.backoff.ms": "200",
		"broker.session.timeout.ms": "30000"}}) // nobody kills it, and a busy machine may keep it waiting
}

// shorten has the rows topic compacted at once, and deletes leave it after so long. A log is compacted up to its last
// segment: small ones, so that there are some.
func (s *scene) shorten(deletes time.Duration) {
	s.Helper()
	var alter []kadm.AlterConfig
	for k, v := range map[string]string{"min.compaction.lag.ms": "0", "delete.retention.ms": fmt.Sprint(deletes.Milliseconds()), "segment.ms": "200",
		"min.cleanable.dirty.ratio": "0.001", "file.delete.delay.ms": "100"} {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: kadm.StringPtr(v)})
	}
	answers, err := s.adm.AlterTopicConfigs(s.Context(), alter, s.flow+".rows")
	if err != nil {
		s.Fatal(err)
	}
	for _, a := range answers {
		s.must(nil, a.Err)
	}
}

// churn goes on writing until the rows topic is as it is to be.
func (s *scene) churn(p *process, what string, done func(rows []stream.RowWrite) bool) {
	s.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for round := 1; !done(s.writes()); round++ {
		if time.Now().After(deadline) {
			s.Fatal("gave up waiting: " + what)
		}
		s.load(round, 20)
		s.settle(p)
	}
}

// writes are the row records that the rows topic holds now.
func (s *scene) writes() (out []stream.RowWrite) {
	s.Helper()
	tables := map[string]stream.Table{"echo": echo{}.Tables()[0]}
	for _, r := range s.records(s.flow + ".rows") {
		rec := &stream.Record{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			rec.Headers = append(rec.Headers, stream.Header{Key: h.Key, Value: h.Value})
		}
		if _, _, _, _, ok := schemas.RowHeader(rec); !ok {
			continue
		}
		w, _, _, err := schemas.DecodeRow(rec, tables)
		if err != nil {
			s.Fatal(err)
		}
		out = append(out, w)
	}
	return out
}

// several writes or deletes documents in every partition.
func (s *scene) several(name string, op schemas.FileOp) {
	s.Helper()
	var records []stream.Record
	for i := range 12 {
		path := fmt.Sprintf("%s %d.md", name, i)
		e := schemas.FileEvent{Source: "page", Path: path, Op: op}
		if delete(s.files, path); op != schemas.FileDelete {
			s.files[path] = path
			e.Content, e.Size = []byte(path), int64(len(path))
		}
		records = append(records, schemas.EncodeFile(e))
	}
	s.publish(records...)
}

// TestSleepsPastTheCompactionLag: what a target missed was compacted meanwhile, deletes are still there. It goes on. (Where
// nothing at all is left of what it had read, it can't tell, and is rebuilt: some documents never change here.)
func TestSleepsPastTheCompactionLag(t *testing.T) {
	s := newScene(t, compacting(t))
	p := s.start(newDisk())
	s.several("lasting", schemas.FilePut)
	s.several("doomed", schemas.FilePut)
	s.load(0, 20)
	s.settle(p)
	places := s.places()
	for _, at := range places {
		rows, _ := s.brings(at, 0)
		s.same(at, rows)
	}
	s.several("doomed", schemas.FileDelete)
	s.shorten(time.Hour)
	written := 0
	s.churn(p, "the rows topic is compacted", func(rows []stream.RowWrite) bool {
		shrunk := len(rows) < written
		written = len(rows)
		return shrunk
	})
	s.load(1, 20)
	s.settle(p)
	for _, at := range places {
		rows, rebuilt := s.brings(at, 0)
		s.same(at, rows)
		if rebuilt > 0 {
			t.Errorf("target %s was rebuilt though no delete is missing", at.name)
		}
	}
}

// TestSleepsPastTheDeleteRetention: the deletes that a target missed have left the topic. It is rebuilt, and so is one that
// was put back to a backup of that time; one that does not notice keeps what was deleted.
func TestSleepsPastTheDeleteRetention(t *testing.T) {
	s := newScene(t, compacting(t))
	p := s.start(newDisk())
	s.several("doomed", schemas.FilePut)
	s.load(0, 20)
	s.settle(p)
	places := s.places()
	for _, at := range places {
		rows, _ := s.brings(at, 0)
		s.same(at, rows)
		at.backup()
	}
	s.several("doomed", schemas.FileDelete)
	s.shorten(time.Second)
	s.churn(p, "the deletes have left the rows topic", func(rows []stream.RowWrite) bool {
		for _, w := range rows {
			if strings.HasPrefix(w.Document, "page/doomed") {
				return false
			}
		}
		return true
	})
	for _, at := range places {
		s.cluster.Embedded = true // of which a delivery takes no log for compacted
		if rows, _ := s.brings(at, 0); rows["doomed 0.md"] == "" {
			t.Errorf("target %s lost what was deleted without being rebuilt: the test shows nothing", at.name)
		}
		s.cluster.Embedded = false
		at.restore()
		rows, rebuilt := s.brings(at, s.topics.Retention.Delete) // so long it slept
		s.same(at, rows)
		if rebuilt != partitions {
			t.Errorf("target %s: %d partitions were rebuilt, want all", at.name, rebuilt)
		}
		at.restore()
		rows, _ = s.brings(at, s.topics.Retention.Delete)
		s.same(at, rows)
	}
}

// TestRebuildsDuringLiveChanges: the topic is compacted and written while targets are rebuilt from it.
func TestRebuildsDuringLiveChanges(t *testing.T) {
	s := newScene(t, compacting(t))
	p := s.start(newDisk())
	s.shorten(time.Hour)
	var all []*delivered
	places := s.places()
	for _, at := range places {
		all = append(all, s.deliver(at, 0))
	}
	for round := range 9 {
		s.load(round, 40)
		if round%3 == 1 {
			for _, d := range all {
				d.Rebuild()
			}
		}
		if round%3 == 2 {
			s.settle(p)
		}
	}
	for i, d := range all {
		s.arrives(d)
		s.same(places[i], d.rows(s))
		if err := d.stop(); err != nil {
			t.Error(err)
		}
		if len(d.rebuilds.switches) != partitions {
			t.Errorf("target %s: %d partitions were rebuilt, want all", places[i].name, len(d.rebuilds.switches))
		}
	}
}

// TestRestoredFromABackup: a target goes back and catches up from where its backup is.
func TestRestoredFromABackup(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	p := s.start(newDisk())
	s.load(0, 40)
	s.settle(p)
	places := s.places()
	for _, at := range places {
		s.brings(at, 0)
		at.backup()
	}
	s.load(1, 40)
	s.load(2, 40)
	s.settle(p)
	for _, at := range places {
		rows, _ := s.brings(at, 0)
		s.same(at, rows)
		at.restore()
		rows, rebuilt := s.brings(at, 0)
		s.same(at, rows)
		if rebuilt > 0 {
			t.Errorf("target %s was rebuilt though nothing is missing", at.name)
		}
	}
}
