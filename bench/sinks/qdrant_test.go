//go:build bench

package sinks

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/internal/testenv"
	qdrantsink "github.com/freshet-dev/freshet/sinks/qdrant"
)

// qdrantContest has a bare client that upserts points as they come, 256 in a request, and waits for each.
func qdrantContest(t *testing.T, k kind) contest {
	t.Helper()
	server := testenv.SharedQdrant(t)
	prefix := testenv.Name(t) + "_"
	at, err := url.Parse(server.URL())
	must(t, err)
	port, err := strconv.Atoi(at.Port())
	must(t, err)
	client, err := qdrant.NewClient(&qdrant.Config{Host: at.Hostname(), Port: port, SkipCompatibilityCheck: true, PoolSize: 1})
	must(t, err)
	t.Cleanup(func() { _ = client.Close() })
	return contest{size: size{512, 6, 2048}, sink: newSink(t, qdrantsink.Spec(), settings(text("url", server.URL()), text("prefix", prefix)), k),
		same: upserter(t, client, prefix+"bare", k, true), columns: upserter(t, client, prefix+"columns", k, false)}
}

func upserter(t *testing.T, client *qdrant.Client, collection string, k kind, whole bool) writer {
	t.Helper()
	vectors := map[string]*qdrant.VectorParams{}
	if k.dims > 0 {
		vectors["embedding"] = &qdrant.VectorParams{Size: uint64(k.dims), Distance: qdrant.Distance_Cosine}
	}
	must(t, client.CreateCollection(t.Context(), &qdrant.CreateCollection{CollectionName: collection, VectorsConfig: qdrant.NewVectorsConfigMap(vectors),
		OnDiskPayload: qdrant.PtrOf(true)}))
	return func(ctx context.Context, rows []row) error {
		for chunk := range slices.Chunk(rows, 256) {
			points := make([]*qdrant.PointStruct, len(chunk))
			for i, r := range chunk {
				points[i] = point(r, whole)
			}
			if _, err := client.Upsert(ctx, &qdrant.UpsertPoints{CollectionName: collection, Points: points, Wait: qdrant.PtrOf(true)}); err != nil {
				return err
			}
		}
		return nil
	}
}

func point(r row, whole bool) *qdrant.PointStruct {
	payload := map[string]*qdrant.Value{"n": qdrant.NewValueInt(r.n), "path": qdrant.NewValueString(r.path), "text": qdrant.NewValueString(r.text)}
	if whole {
		payload["document"], payload["key"] = qdrant.NewValueString(r.document), qdrant.NewValueString(r.key)
		payload["version"], payload["partition"] = qdrant.NewValueInt(r.version()), qdrant.NewValueInt(0)
		payload["lineage"] = qdrant.NewValueString(lineage)
	}
	vectors := map[string]*qdrant.Vector{}
	if r.vector != nil {
		vectors["embedding"] = qdrant.NewVectorDense(r.vector)
	}
	return &qdrant.PointStruct{Id: qdrant.NewIDUUID(uuid.NewSHA1(uuid.Nil, []byte(r.document+" "+r.key)).String()), Payload: payload,
		Vectors: qdrant.NewVectorsMap(vectors)}
}
