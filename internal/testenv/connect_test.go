package testenv_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// envelope is the part of a Debezium record that the test reads.
type envelope struct {
	Op    string
	After struct{ Title string }
}

func TestConnectCapturesATable(t *testing.T) {
	broker := testenv.SharedKafka(t)
	db := testenv.SharedPostgres(t).NewDatabase(t)
	db.Exec(t, `create table page (id int primary key, title text); insert into page values (1, 'first')`)
	var w *testenv.Worker
	timed(t, "start", func() { w = testenv.Connect(t, broker) })
	prefix := testenv.Name(t)
	timed(t, "put connector", func() { w.PutConnector(t, prefix, testenv.DebeziumPostgres(db, prefix, 2)) })

	client := kafkaClient(t, broker, kgo.ConsumeTopics(prefix+".public.page"))
	timed(t, "snapshot", func() { wantChange(t, client, "first", "r") })
	db.Exec(t, `update page set title = 'second'`)
	timed(t, "change", func() { wantChange(t, client, "second", "u") })

	timed(t, "kill", w.Kill)
	db.Exec(t, `update page set title = 'third'`)
	timed(t, "start after kill", func() { w.Start(t) })
	// A worker that was killed before it noted its first offset takes a new snapshot.
	timed(t, "change after kill", func() { wantChange(t, client, "third", "u", "r") })
}

// wantChange reads until the title is there with one of the operations: Debezium may repeat earlier changes.
func wantChange(t *testing.T, client *kgo.Client, title string, ops ...string) {
	t.Helper()
	ctx := within(t, 60*time.Second)
	for ctx.Err() == nil {
		for _, record := range client.PollFetches(ctx).Records() {
			var got envelope
			if err := json.Unmarshal(record.Value, &got); err != nil {
				t.Fatal(err)
			}
			if got.After.Title == title && slices.Contains(ops, got.Op) {
				return
			}
		}
	}
	t.Fatalf("no change to %q within a minute", title)
}
