//go:build bench

package sinks

import (
	"context"
	"testing"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/internal/testenv"
	neo4jsink "github.com/freshet-dev/freshet/sinks/neo4j"
)

// neo4jContest has a bare client that merges all nodes of a batch by one statement.
func neo4jContest(t *testing.T, k kind) contest {
	t.Helper()
	server := testenv.SharedNeo4j(t)
	driver, err := neo4j.NewDriverWithContext(server.URL(), neo4j.BasicAuth(server.User(), server.Password(), ""))
	must(t, err)
	t.Cleanup(func() { _ = driver.Close(context.WithoutCancel(t.Context())) })
	run := func(ctx context.Context, cypher string, args map[string]any) error {
		_, err := neo4j.ExecuteQuery(ctx, driver, cypher, args, neo4j.EagerResultTransformer)
		return err
	}
	must(t, run(t.Context(), "MATCH (n) DETACH DELETE n", nil))
	bare := func(label string, whole bool) writer {
		must(t, run(t.Context(), "CREATE CONSTRAINT IF NOT EXISTS FOR (n:"+label+") REQUIRE n.id IS UNIQUE", nil))
		return func(ctx context.Context, rows []row) error {
			nodes := make([]any, len(rows))
			for i, r := range rows {
				f := map[string]any{"n": r.n, "path": r.path, "text": r.text}
				if r.vector != nil {
					f["embedding"] = r.vector
				}
				if whole {
					f["document"], f["key"], f["version"], f["partition"], f["lineage"] = r.document, r.key, r.version(), 0, lineage
				}
				nodes[i] = map[string]any{"id": r.document + " " + r.key, "set": f}
			}
			return run(ctx, "UNWIND $nodes AS x MERGE (n:"+label+" {id: x.id}) SET n += x.set", map[string]any{"nodes": nodes})
		}
	}
	set := settings(text("url", server.URL()), text("username", "env:FRESHET_BENCH_NEO4J_USER"), text("password", "env:FRESHET_BENCH_NEO4J_PASSWORD"))
	t.Setenv("FRESHET_BENCH_NEO4J_USER", server.User())
	t.Setenv("FRESHET_BENCH_NEO4J_PASSWORD", server.Password())
	return contest{size: size{1000, 6, 5000}, sink: newSink(t, neo4jsink.Spec(), set, k), same: bare("Bare", true), columns: bare("Columns", false)}
}
