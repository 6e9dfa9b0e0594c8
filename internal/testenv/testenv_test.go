package testenv_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/internal/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }

// timed logs how long a step took.
func timed(t *testing.T, what string, step func()) {
	t.Helper()
	start := time.Now()
	step()
	t.Logf("%s: %d ms", what, time.Since(start).Milliseconds())
}

func kafkaClient(t *testing.T, b *testenv.Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts = append(opts, kgo.SeedBrokers(b.Addr()), kgo.DisableClientMetrics(), kgo.MetadataMinAge(100*time.Millisecond))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

func TestKafkaKeepsARecordThroughKill(t *testing.T) {
	var b *testenv.Broker
	timed(t, "start", func() { b = testenv.Kafka(t, testenv.KafkaOptions{}) })
	topic := testenv.Name(t)
	produceOne(t, b, topic)
	addr := b.Addr()

	timed(t, "kill", b.Kill)
	timed(t, "start after kill", func() { b.Start(t) })
	if b.Addr() != addr {
		t.Errorf("the broker moved from %s to %s", addr, b.Addr())
	}
	timed(t, "read after kill", func() { wantOne(t, b, topic) })

	timed(t, "stop", b.Stop)
	timed(t, "start after stop", func() { b.Start(t) })
	wantOne(t, b, topic)
}

// produceOne writes one record in a transaction.
func produceOne(t *testing.T, b *testenv.Broker, topic string) {
	t.Helper()
	client := kafkaClient(t, b, kgo.TransactionalID(topic))
	ctx := within(t, 30*time.Second)
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 1, -1, nil, topic); err != nil {
		t.Fatal(err)
	}
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("kept")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

func wantOne(t *testing.T, b *testenv.Broker, topic string) {
	t.Helper()
	client := kafkaClient(t, b, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx := within(t, time.Minute)
	var records []*kgo.Record
	for len(records) == 0 && ctx.Err() == nil { // a broker that is down gives an error, and nothing
		records = client.PollFetches(ctx).Records()
	}
	if len(records) != 1 || string(records[0].Value) != "kept" {
		t.Fatalf("read %d records, want the one that was produced", len(records))
	}
}

func TestKafkaFormatsTransactionVersion2(t *testing.T) {
	features, err := kadm.NewClient(kafkaClient(t, testenv.SharedKafka(t))).ApiVersions(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, broker := range features {
		if broker.Err != nil {
			t.Fatal(broker.Err)
		}
		if level := finalized(broker.Raw(), "transaction.version"); level < 2 {
			t.Errorf("transaction.version is %d, want 2 or more", level)
		}
	}
}

func finalized(versions *kmsg.ApiVersionsResponse, feature string) int16 {
	for _, f := range versions.FinalizedFeatures {
		if f.Name == feature {
			return f.MaxVersionLevel
		}
	}
	return 0
}

func TestKafkaTakesOwnProperties(t *testing.T) {
	b := testenv.Kafka(t, testenv.KafkaOptions{Properties: map[string]string{"log.cleaner.delete.retention.ms": "4321"}})
	admin := kadm.NewClient(kafkaClient(t, b))
	configs, err := admin.DescribeBrokerConfigs(within(t, 10*time.Second), 1)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"log.cleaner.delete.retention.ms": "4321", "auto.create.topics.enable": "false"}
	for _, config := range configs[0].Configs {
		if value, ok := want[config.Key]; ok && config.MaybeValue() != value {
			t.Errorf("%s = %q, want %q", config.Key, config.MaybeValue(), value)
		}
	}
}

func TestPostgresKeepsRowsThroughKill(t *testing.T) {
	var s *testenv.PostgresServer
	timed(t, "start", func() { s = testenv.Postgres(t) })
	db := s.NewDatabase(t)
	db.Exec(t, `create table page (id int primary key, embedding vector(3));
		insert into page values (1, '[1,0,0]'), (2, '[0,1,0]'), (3, '[0,0,1]')`)
	if id := nearest(t, db, "[0.1,0.9,0]"); id != 2 {
		t.Errorf("nearest page is %d, want 2", id)
	}
	timed(t, "kill", s.Kill)
	timed(t, "start after kill", func() { s.Start(t) })
	if id := nearest(t, db, "[0,0.1,0.8]"); id != 3 {
		t.Errorf("nearest page after a kill is %d, want 3", id)
	}
	timed(t, "stop", s.Stop)
	timed(t, "start after stop", func() { s.Start(t) })
	nearest(t, db, "[1,1,1]")
}

func nearest(t *testing.T, db *testenv.Database, vector string) (id int) {
	t.Helper()
	ctx := within(t, 10*time.Second)
	conn, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	const nearest = `select id from page order by embedding <=> $1::vector limit 1`
	if err := conn.QueryRow(ctx, nearest, vector).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestPostgresVersions(t *testing.T) {
	ctx := within(t, 10*time.Second)
	conn, err := pgx.Connect(ctx, testenv.SharedPostgres(t).NewDatabase(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var level, extension string
	const query = `select current_setting('wal_level'), extversion from pg_extension where extname = 'vector'`
	if err := conn.QueryRow(ctx, query).Scan(&level, &extension); err != nil {
		t.Fatal(err)
	}
	if level != "logical" || extension != "0.8.5" {
		t.Errorf("wal_level = %s, pgvector %s, want logical, 0.8.5", level, extension)
	}
}
