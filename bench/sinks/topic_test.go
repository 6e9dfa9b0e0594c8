//go:build bench

package sinks

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/topic"
	"github.com/freshet-dev/freshet/stream"
)

// topicContest has a bare producer, idempotent and without transactions, of the same JSON.
func topicContest(t *testing.T, k kind) contest {
	t.Helper()
	broker := testenv.SharedKafka(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	must(t, err)
	t.Cleanup(client.Close)
	prefix := testenv.Name(t) + "."
	bare := func(name string, whole bool) writer {
		_, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, prefix+name)
		must(t, err)
		return func(ctx context.Context, rows []row) error {
			records := make([]*kgo.Record, len(rows))
			for i, r := range rows {
				value, err := json.Marshal(fields(r, whole))
				if err != nil {
					return err
				}
				records[i] = &kgo.Record{Topic: prefix + name, Key: []byte(r.document + " " + r.key), Value: value}
			}
			return client.ProduceSync(ctx, records...).FirstErr()
		}
	}
	brokers := stream.Entry{Key: "brokers", Value: stream.ListOf(stream.StringOf(broker.Addr()))}
	return contest{size: size{2000, 6, 20_000}, sink: newSink(t, topic.Spec(), settings(brokers, text("prefix", prefix)), k),
		same: bare("bare", true), columns: bare("columns", false)}
}

// fields are what a bare client of a store of documents writes of a row.
func fields(r row, whole bool) map[string]any {
	f := map[string]any{"n": r.n, "path": r.path, "text": r.text}
	if r.vector != nil {
		f["embedding"] = r.vector
	}
	if whole {
		f["document"], f["key"], f["version"], f["partition"], f["lineage"] = r.document, r.key, r.version(), 0, json.RawMessage(lineage)
	}
	return f
}
