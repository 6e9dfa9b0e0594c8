package embedded_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/embedded"
)

// TestDataStays: what was acknowledged is there after the broker was closed and started again on its directory.
func TestDataStays(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		b, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Sync: true})
		if err != nil {
			t.Fatal(err)
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.DefaultProduceTopic("t"),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}}))
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			if _, err := cl.Request(t.Context(), createTopic("t")); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		seen := 0
		for seen <= n {
			seen += cl.PollFetches(t.Context()).NumRecords()
		}
		if seen != n+1 {
			t.Errorf("start %d: %d records, want %d", n, seen, n+1)
		}
		cl.Close()
		b.Close()
	}
}

// TestKilledWithinTransactions: what a killed process had not committed is never seen, also after it was killed twice, and
// readers reach the end of the partition.
func TestKilledWithinTransactions(t *testing.T) {
	dir := t.TempDir()
	for n := range 3 {
		b, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Sync: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close) // of a process that should be dead, in a directory that is not used any more
		if n == 0 {
			create(t, b)
		}
		produce(t, b, fmt.Sprint("committed ", n), true)
		if got, want := committed(t, b), n+1; len(got) != want {
			t.Errorf("start %d: committed is %q, want %d records", n, got, want)
		}
		produce(t, b, fmt.Sprint("dropped ", n), false)
		dir = copied(t, dir)
		if got := reopened(t, copied(t, dir)); len(got) != n+1 {
			t.Errorf("kill %d: committed is %q, want %d records", n, got, n+1)
		}
	}
}

// TestKilledWithinACommit: a transaction that was committed in one partition when the process was killed is committed in all, and stays so.
func TestKilledWithinACommit(t *testing.T) {
	dir := t.TempDir()
	b, err := embedded.Start(t.Context(), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close) // as above
	create(t, b)
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.TransactionalID("writer"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, topic := range []string{"u", "v"} {
		if _, err := cl.Request(t.Context(), createTopic(topic)); err != nil {
			t.Fatal(err)
		}
	}
	write := func(topics ...string) {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte("x")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("t", "u", "v")
	if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	commits(t, b, "readers")
	write("t", "u")
	id, epoch, err := cl.ProducerID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	where := kadm.TopicsSet{}
	where.Add("u", 0)
	answers, err := adm.WriteTxnMarkers(t.Context(), kadm.TxnMarkers{ProducerID: id, ProducerEpoch: epoch, Commit: true, Topics: where})
	if err != nil {
		t.Fatal(err)
	}
	answers.EachPartition(func(p kadm.TxnMarkersPartitionResponse) {
		if p.Err != nil {
			t.Fatal(p.Err)
		}
	})
	dir = copied(t, dir)
	for _, killed := range []bool{true, false, false} {
		b, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Groups: []string{"readers", "unknown"}})
		if err != nil {
			t.Fatal(err)
		}
		if gone := !commits(t, b, "readers"); gone != killed {
			t.Errorf("the offsets of a group are gone: %t, want %t", gone, killed)
		}
		for topic, want := range map[string]int{"t": 2, "u": 2, "v": 1} {
			if got := committedIn(t, b, topic); len(got) != want {
				t.Errorf("%s has %d committed records, want %d", topic, len(got), want)
			}
		}
		b.Close()
	}
}

// commits commits an offset of a group, and reports whether it had one before.
func commits(t *testing.T, b *embedded.Broker, group string) (had bool) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if offsets, err := adm.FetchOffsets(t.Context(), group); err == nil {
		o, found := offsets.Lookup("t", 0)
		had = found && o.At >= 0
	}
	all := kadm.Offsets{}
	all.AddOffset("t", 0, 1, -1)
	if err := adm.CommitAllOffsets(t.Context(), group, all); err != nil {
		t.Fatal(err)
	}
	return had
}

// copied is what a process leaves that is killed now.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func reopened(t *testing.T, dir string) []string {
	t.Helper()
	b, err := embedded.Start(t.Context(), embedded.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return committed(t, b)
}

func create(t *testing.T, b *embedded.Broker) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := cl.Request(t.Context(), createTopic("t")); err != nil {
		t.Fatal(err)
	}
}

// produce writes a record in a transaction, which is committed or stays open.
func produce(t *testing.T, b *embedded.Broker, text string, commit bool) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.DefaultProduceTopic("t"), kgo.TransactionalID("writer"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), kgo.StringRecord(text)).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if commit {
		if err := cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
}

func committed(t *testing.T, b *embedded.Broker) []string {
	t.Helper()
	return committedIn(t, b, "t")
}

// committedIn reads all committed records of a topic up to the end.
func committedIn(t *testing.T, b *embedded.Broker, topic string) (texts []string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.KeepControlRecords(), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	for at := int64(-1); at < end.Offset-1; {
		cl.PollFetches(t.Context()).EachRecord(func(r *kgo.Record) {
			if at = r.Offset; !r.Attrs.IsControl() {
				texts = append(texts, string(r.Value))
			}
		})
	}
	return texts
}

func createTopic(name string) kmsg.Request {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	return req
}

func TestStartRefusesAFile(t *testing.T) {
	_, err := embedded.Start(t.Context(), embedded.Options{Dir: "/dev/null/broker"})
	if stream.KindOf(err) != stream.Usage {
		t.Errorf("kind %v: %v", stream.KindOf(err), err)
	}
}
