package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

// redisTarget is a real Redis server, which can be killed; every write is on disk before it is answered. Each replica reaches it by a link
// of its own, which can hold a request back.
type redisTarget struct {
	*links
	flow   string
	server *testenv.RedisServer
	client rueidis.Client
}

func newRedis(t *testing.T, r *rig) target {
	t.Helper()
	v := &redisTarget{flow: r.name, server: testenv.Redis(t, testenv.RedisOptions{Durable: true})}
	v.links = newLinks(t, v.server.Addr())
	var err error
	v.client, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{v.server.Addr()}, ForceSingleClient: true, DisableCache: true,
		DisableRetry: true, PipelineMultiplex: -1, AlwaysPipelining: true})
	must(t, err)
	t.Cleanup(v.client.Close)
	return v
}

func (*redisTarget) name() string { return "redis" }

// whole is false: a document's hashes become visible one by one.
func (*redisTarget) whole() bool { return false }

func (*redisTarget) block() string {
	return `{ redis: { url: "env:TORTURE_REDIS" }, tables: [docs, chunks] }`
}

func (v *redisTarget) env(ordinal int) []string {
	return []string{"TORTURE_REDIS=redis://" + v.link(ordinal).listener.Addr().String()}
}

func (v *redisTarget) restart(t *testing.T) {
	t.Helper()
	v.server.Kill()
	v.server.Start(t)
}

// rows asks for the names of all hashes, then for the hashes; one that goes meanwhile is left out.
func (v *redisTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	for _, table := range []string{"docs", "chunks"} {
		names := map[string]bool{}
		for at, first := uint64(0), true; first || at != 0; first = false {
			page, err := v.client.Do(ctx, v.client.B().Scan().Cursor(at).Match("freshet:"+table+":*").Count(1000).Build()).AsScanEntry()
			if err != nil {
				return nil, gone(err)
			}
			for _, name := range page.Elements {
				names[name] = true
			}
			at = page.Cursor
		}
		for name := range names {
			held, err := v.client.Do(ctx, v.client.B().Hgetall().Key(name).Build()).AsStrMap()
			if err != nil {
				return nil, gone(err)
			}
			if len(held) > 0 {
				all = append(all, rowOfHash(table, held, vectors))
			}
		}
	}
	return all, nil
}

func rowOfHash(table string, held map[string]string, vectors bool) row {
	n := func(field string) int64 {
		i, _ := strconv.ParseInt(held[field], 10, 64)
		return i
	}
	s := row{table: table, document: held["_document"], key: held["_key"], version: n("_version"), id: n("id"), rev: n("rev"), parts: n("parts"), text: held["text"]}
	if raw, err := stream.RawVectorOf(stream.F32, []byte(held["embedding"])); vectors && err == nil && held["embedding"] != "" {
		s.vector = raw.Floats()
	}
	return s
}

// gone is the error of a request; what a killed server causes is transient.
func gone(err error) error {
	if answer, ok := rueidis.IsRedisErr(err); ok && !strings.HasPrefix(answer.Error(), "LOADING") {
		return err
	}
	return &stream.Error{Op: "read Redis", Kind: stream.Transient, Err: err}
}

// applied reads the bookkeeping, where each partition has a document in JSON after its sequence.
func (v *redisTarget) applied(ctx context.Context) (map[int32]int64, error) {
	books, err := v.client.Do(ctx, v.client.B().Hgetall().Key("freshet:_freshet").Build()).AsStrMap()
	if err != nil {
		return nil, gone(err)
	}
	at := map[int32]int64{}
	for key, text := range books {
		if !strings.HasPrefix(key, "freshet/place/"+v.flow+"/"+v.name()+"/") {
			continue
		}
		var place struct {
			Partition int32
			Next      int64
		}
		_, body, _ := strings.Cut(text, " ")
		if err := json.Unmarshal([]byte(body), &place); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		at[place.Partition] = place.Next
	}
	return at, nil
}

// freezeInside stops a replica whose rows are on their way: they come to the server when another has taken over and has written more.
func (v *redisTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	return v.freeze(t, x, "_freshet:gone:chunks", v.applied)
}

// evict does nothing: the server waits for nobody.
func (*redisTarget) evict(context.Context, *testing.T, *replica) {}
