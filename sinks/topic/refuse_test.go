package topic_test

import (
	"crypto/rand"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/sinks/topic"
	"github.com/freshet-dev/freshet/stream"
)

func newWith(tables []stream.TargetTable, cluster stream.FlowCluster, settings ...stream.Entry) (stream.Sink, error) {
	return topic.Spec().New(stream.SinkConfig{Settings: stream.Settings{Values: stream.MapOf(settings...)}, Tables: tables, Cluster: cluster})
}

func text(key, value string) stream.Entry {
	return stream.Entry{Key: key, Value: stream.StringOf(value)}
}

func named(name, as string) stream.TargetTable {
	return stream.TargetTable{Table: stream.Table{Name: name}, Settings: stream.Settings{Values: stream.MapOf(text("table", as))}}
}

// TestNewRefuses: what can't be kept on topics is said before anything is connected.
func TestNewRefuses(t *testing.T) {
	twice := stream.TargetTable{Table: stream.Table{Name: "t", Columns: []stream.Field{{Name: "a b", Type: stream.TypeInt}, {Name: "a_x20b", Type: stream.TypeInt}}}}
	for want, try := range map[string]func() (stream.Sink, error){
		"host:port": func() (stream.Sink, error) {
			return newWith(nil, stream.FlowCluster{}, stream.Entry{Key: "brokers", Value: stream.ListOf(stream.StringOf("localhost"))})
		},
		"both be kept on topic a-20b": func() (stream.Sink, error) {
			return newWith([]stream.TargetTable{named("x", "a b"), named("y", "a-20b")}, stream.FlowCluster{})
		},
		"bookkeeping": func() (stream.Sink, error) {
			return newWith([]stream.TargetTable{named("x", "freshet.targets")}, stream.FlowCluster{})
		},
		"name of a topic": func() (stream.Sink, error) {
			return newWith([]stream.TargetTable{named("x", strings.Repeat("n", 250))}, stream.FlowCluster{})
		},
		"would both be field a_x20b": func() (stream.Sink, error) {
			return newWith([]stream.TargetTable{twice}, stream.FlowCluster{}, text("format", "avro"))
		},
	} {
		_, err := try()
		refused(t, err, want)
	}
}

func refused(t testing.TB, err error, why string) {
	t.Helper()
	if err == nil || stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), why) {
		t.Errorf("got %v (kind %s), want a refusal that says %q", err, stream.KindOf(err), why)
	}
}

// TestOpenRefuses: a topic of the wrong shape, and one of somebody else's, are left alone.
func TestOpenRefuses(t *testing.T) {
	s := newSpot(t, inProcess(t), "json")
	open := func(partitions int32, tables ...stream.TargetTable) error {
		sink, err := newWith(tables, stream.FlowCluster{Brokers: []string{s.addr}, Partitions: partitions}, text("prefix", s.prefix))
		must(t, err)
		t.Cleanup(func() { must(t, sink.Close()) })
		_, err = sink.Open(t.Context(), "handbook", "out")
		return err
	}
	create := func(name string, partitions int32, policy string) {
		_, err := s.adm.CreateTopic(t.Context(), partitions, 1, map[string]*string{"cleanup.policy": &policy}, name)
		must(t, err)
	}
	create(s.prefix+"deleted", 2, "delete")
	refused(t, open(2, named("x", "deleted")), "cleanup.policy delete")
	create(s.prefix+"both", 2, "compact,delete")
	refused(t, open(2, named("x", "both")), "cleanup.policy compact,delete")
	create(s.prefix+"few", 1, "compact")
	refused(t, open(2, named("x", "few")), "exists with 1 partitions, the flow's rows topic has 2")
	s.makeForeign(t, "foreign")
	refused(t, open(1, named("x", "foreign")), "holds records that this flow did not write")
	create(s.prefix+"free", 3, "compact")
	if err := open(2, named("x", "free")); err != nil {
		t.Errorf("an empty compacted topic with enough partitions: %v", err)
	}
	if err := open(2, named("x", "made")); err != nil {
		t.Error(err)
	}
	found, err := s.adm.ListTopics(t.Context(), s.prefix+"made")
	must(t, err)
	if n := len(found[s.prefix+"made"].Partitions); n != 2 {
		t.Errorf("the topic was made with %d partitions, want 2", n)
	}

	sink, err := newWith([]stream.TargetTable{named("x", "handbook.rows")}, stream.FlowCluster{Brokers: []string{s.addr}})
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	_, err = sink.Open(t.Context(), "handbook", "out")
	refused(t, err, "or its own")
}

// TestTopicThatTakesLittle: many rows go to a topic of a user's own making that takes few at once.
func TestTopicThatTakesLittle(t *testing.T) { onBoth(t, takesLittle) }

func takesLittle(t *testing.T, addr string) {
	s := newSpot(t, addr, "json")
	_, err := s.adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact"), "max.message.bytes": kadm.StringPtr("4096")},
		s.prefix+"pages")
	must(t, err)
	sink := s.opened(t, nil)
	assigned(t, sink)
	b := write(0, "")
	for n := range int64(100) {
		row := write(n, rand.Text()+rand.Text()+rand.Text()).Units[0].Rows[0] // what can't be compressed
		row.Key = strconv.FormatInt(n, 10)
		b.Units, b.To = append(b.Units, stream.Unit{Document: "a", Rows: []stream.RowWrite{row}}), n+1
	}
	must(t, sink.Apply(t.Context(), b))
	if n := len(titles(t, sink)); n != 101 {
		t.Errorf("%d rows, want 101", n)
	}
	err = sink.Apply(t.Context(), write(100, strings.Repeat(rand.Text(), 1000)))
	refused(t, err, "max.message.bytes")
}

// TestForeignRecords: what others write to a target's topic is named when it is read, and a rebuild takes it away.
func TestForeignRecords(t *testing.T) {
	s := newSpot(t, inProcess(t), "json")
	sink := s.opened(t, nil)
	assigned(t, sink)
	must(t, sink.Apply(t.Context(), write(0, "first")))
	must(t, s.cl.ProduceSync(t.Context(), &kgo.Record{Topic: s.prefix + "pages", Key: []byte("mine"), Value: []byte("x")}).FirstErr())
	err := sink.(stream.Reader).ReadRows(t.Context(), "pages", func(stream.RowWrite) error { return nil })
	refused(t, err, "freshet rebuild out")
	must(t, sink.StartRebuild(t.Context(), 0, 1))
	must(t, sink.Stage(t.Context(), write(0, "first")))
	must(t, sink.Switch(t.Context(), 0, 1))
	wantTitles(t, sink, "first")
	ends, err := s.adm.ListStartOffsets(t.Context(), s.prefix+"freshet.stage.handbook.out")
	must(t, err)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset == 0 {
			t.Error("the stage keeps what the rebuild no longer needs")
		}
	})
}
