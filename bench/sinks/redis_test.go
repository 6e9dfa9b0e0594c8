//go:build bench

package sinks

import (
	"context"
	"strconv"
	"testing"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/redis"
)

// redisContest has a bare client that sets the fields of each row's hash, all rows of a batch in one pipeline.
func redisContest(t *testing.T, k kind) contest {
	t.Helper()
	server := testenv.SharedRedis(t)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}})
	must(t, err)
	t.Cleanup(client.Close)
	prefix := testenv.Name(t)
	bare := func(name string, whole bool) writer {
		return func(ctx context.Context, rows []row) error {
			commands := make([]rueidis.Completed, len(rows))
			for i, r := range rows {
				set := client.B().Hset().Key(prefix+":"+name+":"+r.document+":"+r.key).FieldValue().
					FieldValue("n", strconv.FormatInt(r.n, 10)).FieldValue("path", r.path).FieldValue("text", r.text)
				if r.vector != nil {
					set = set.FieldValue("embedding", rueidis.VectorString32(r.vector))
				}
				if whole {
					set = set.FieldValue("document", r.document).FieldValue("key", r.key).FieldValue("version", strconv.FormatInt(r.version(), 10)).
						FieldValue("partition", "0").FieldValue("lineage", lineage)
				}
				commands[i] = set.Build()
			}
			for _, answer := range client.DoMulti(ctx, commands...) {
				if err := answer.Error(); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return contest{size: size{2000, 6, 20_000}, sink: newSink(t, redis.Spec(), settings(text("url", server.URL()), text("prefix", prefix)), k),
		same: bare("bare", true), columns: bare("columns", false)}
}
