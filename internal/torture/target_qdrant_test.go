package torture

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

// qdrantTarget is Qdrant's engine behind a front of its own, which can be killed.
type qdrantTarget struct {
	flow   string
	server *testenv.QdrantServer
	client *qdrant.Client
}

func newQdrant(t *testing.T, r *rig) target {
	t.Helper()
	v := &qdrantTarget{flow: r.name, server: testenv.Qdrant(t, testenv.QdrantOptions{})}
	at, err := url.Parse(v.server.URL())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	v.client, err = qdrant.NewClient(&qdrant.Config{Host: at.Hostname(), Port: port, SkipCompatibilityCheck: true, PoolSize: 1,
		GrpcOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}})}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.client.Close() })
	return v
}

func (*qdrantTarget) name() string { return "qdrant" }

// whole is false: a document's points become visible one by one.
func (*qdrantTarget) whole() bool { return false }

// block has vectors kept as they are; for cosine distance they are normalised.
func (*qdrantTarget) block() string {
	return `{ qdrant: { url: "env:TORTURE_QDRANT" }, tables: { docs: {}, chunks: { distance: dot } } }`
}

func (v *qdrantTarget) env(int) []string { return []string{"TORTURE_QDRANT=" + v.server.URL()} }

func (v *qdrantTarget) restart(t *testing.T) {
	t.Helper()
	v.server.Kill()
	v.server.Start(t)
}

func (v *qdrantTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	for _, table := range []string{"docs", "chunks"} {
		there, err := v.client.CollectionExists(ctx, table)
		if err != nil || !there {
			return nil, away(err)
		}
		ask := &qdrant.ScrollPoints{CollectionName: table, WithPayload: qdrant.NewWithPayloadInclude("_document", "_key", "_version"),
			Filter: &qdrant.Filter{Must: []*qdrant.Condition{qdrant.NewIsEmpty("_deleted")}}}
		if vectors {
			ask.WithPayload, ask.WithVectors = qdrant.NewWithPayload(true), qdrant.NewWithVectors(true)
		}
		err = v.each(ctx, ask, func(p *qdrant.RetrievedPoint) error {
			all = append(all, rowOfPoint(table, p))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func rowOfPoint(table string, p *qdrant.RetrievedPoint) row {
	held := p.GetPayload()
	return row{table: table, document: held["_document"].GetStringValue(), key: held["_key"].GetStringValue(),
		version: held["_version"].GetIntegerValue(), id: held["id"].GetIntegerValue(), rev: held["rev"].GetIntegerValue(), parts: held["parts"].GetIntegerValue(), text: held["text"].GetStringValue(),
		vector: p.GetVectors().GetVectors().GetVectors()["embedding"].GetDense().GetData()}
}

// each goes through the points of a collection in order of their IDs, so that none that stays is missed.
func (v *qdrantTarget) each(ctx context.Context, ask *qdrant.ScrollPoints, point func(*qdrant.RetrievedPoint) error) error {
	ask.Limit = qdrant.PtrOf(uint32(1000))
	for {
		points, next, err := v.client.ScrollAndOffset(ctx, ask)
		if err != nil {
			return away(err)
		}
		for _, p := range points {
			if err := point(p); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		ask.Offset = next
	}
}

// away is the error of a request; what a killed server causes is transient.
func away(err error) error {
	if c := status.Code(err); c == codes.Unavailable || c == codes.Canceled {
		return &stream.Error{Op: "read Qdrant", Kind: stream.Transient, Err: err}
	}
	return err
}

// applied reads the bookkeeping, where each partition has a document in JSON.
func (v *qdrantTarget) applied(ctx context.Context) (map[int32]int64, error) {
	at := map[int32]int64{}
	err := v.each(ctx, &qdrant.ScrollPoints{CollectionName: "_freshet", WithPayload: qdrant.NewWithPayload(true)}, func(p *qdrant.RetrievedPoint) error {
		if !strings.HasPrefix(p.GetPayload()["_name"].GetStringValue(), "freshet/place/"+v.flow+"/"+v.name()+"/") {
			return nil
		}
		var place struct {
			Partition int32
			Next      int64
		}
		err := json.Unmarshal([]byte(p.GetPayload()["_body"].GetStringValue()), &place)
		at[place.Partition] = place.Next
		return err
	})
	return at, err
}

// freezeInside stops a replica whose upsert is on its way: it comes to the server when another has taken over and has written more.
func (v *qdrantTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var release func() error
	for release == nil {
		port, done, err := v.server.Hold(ctx, "chunks")
		if err != nil {
			t.Fatal(err)
		}
		if release = done; !x.p.has(port) { // it is the other writer's
			must(t, release())
			release = nil
		}
	}
	x.p.signal(syscall.SIGSTOP)
	x.stops(t, "an upsert")
	stood, err := v.applied(t.Context())
	must(t, err)
	return func() {
		x.rig.until(t, "newer rows are written than those of "+x.name, func(ctx context.Context) bool {
			now, err := v.applied(ctx)
			for p, was := range stood {
				if now[p] <= was {
					return false
				}
			}
			return err == nil
		})
		must(t, release())
	}
}

// evict does nothing: the server waits for nobody.
func (*qdrantTarget) evict(context.Context, *testing.T, *replica) {}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
