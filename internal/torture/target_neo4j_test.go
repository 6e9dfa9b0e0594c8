package torture

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
)

// neo4jTarget is a real Neo4j server, which can be killed. Each replica reaches it by a link of its own, which can hold a commit back, and as a user
// of its own, by whom the server knows its transactions.
type neo4jTarget struct {
	*links
	flow   string
	server *testenv.Neo4jServer
	client neo4j.DriverWithContext

	users sync.Map // by ordinal: those that the server knows
}

// userPassword is that of all replicas' users.
const userPassword = "torture-password"

func newNeo4j(t *testing.T, r *rig) target {
	t.Helper()
	v := &neo4jTarget{flow: r.name, server: testenv.Neo4j(t)}
	v.links = newLinks(t, v.server.Addr())
	var err error
	v.client, err = neo4j.NewDriverWithContext(v.server.URL(), neo4j.BasicAuth(v.server.User(), v.server.Password(), ""))
	must(t, err)
	t.Cleanup(func() { _ = v.client.Close(context.WithoutCancel(t.Context())) })
	return v
}

func (*neo4jTarget) name() string { return "neo4j" }

// whole is false: a reader may see a part of a commit.
func (*neo4jTarget) whole() bool { return false }

func (*neo4jTarget) block() string {
	return `{ neo4j: { url: "env:TORTURE_NEO4J" }, tables: [docs, chunks] }`
}

func (v *neo4jTarget) env(ordinal int) []string {
	if _, known := v.users.LoadOrStore(ordinal, true); !known {
		_, err := v.ask(v.ends.Context(), fmt.Sprintf("CREATE USER `%s` SET PASSWORD '%s' SET PASSWORD CHANGE NOT REQUIRED", user(ordinal), userPassword), nil)
		must(v.ends, err)
	}
	return []string{fmt.Sprintf("TORTURE_NEO4J=bolt://%s:%s@%s", user(ordinal), userPassword, v.link(ordinal).listener.Addr())}
}

func user(ordinal int) string { return fmt.Sprintf("torture%d", ordinal) }

func (v *neo4jTarget) restart(t *testing.T) {
	t.Helper()
	v.server.Kill()
	v.server.Start(t)
}

// ask runs one statement, once. What a killed server causes is transient.
func (v *neo4jTarget) ask(ctx context.Context, cypher string, args map[string]any) ([][]any, error) {
	session := v.client.NewSession(ctx, neo4j.SessionConfig{FetchSize: neo4j.FetchAll})
	defer session.Close(context.WithoutCancel(ctx))
	result, err := session.Run(ctx, cypher, args)
	var records []*neo4j.Record
	if err == nil {
		records, err = result.Collect(ctx)
	}
	var refusal *neo4j.Neo4jError
	if err != nil && (!errors.As(err, &refusal) || refusal.Classification() != "ClientError") {
		return nil, &stream.Error{Op: "read Neo4j", Kind: stream.Transient, Err: err}
	}
	rows := make([][]any, len(records))
	for i, r := range records {
		rows[i] = r.Values
	}
	return rows, err
}

// rows reads table by table. Neo4j's readers see what is committed node by node: one that is deleted between the match and the reading of its
// properties has none.
func (v *neo4jTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	for _, table := range []string{"docs", "chunks"} {
		found, err := v.ask(ctx, "MATCH (n:"+table+") RETURN n._document, n._key, n._version, n.id, n.rev, coalesce(n.parts, 0), coalesce(n.text, ''), "+
			"CASE WHEN $vectors THEN n.embedding END", map[string]any{"vectors": vectors})
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if f[0] != nil && f[2] != nil {
				all = append(all, rowOfNode(table, f))
			}
		}
	}
	return all, nil
}

func rowOfNode(table string, held []any) row {
	s := row{table: table}
	s.document, _ = held[0].(string)
	s.key, _ = held[1].(string)
	s.version, _ = held[2].(int64)
	s.id, _ = held[3].(int64)
	s.rev, _ = held[4].(int64)
	s.parts, _ = held[5].(int64)
	s.text, _ = held[6].(string)
	floats, _ := held[7].([]any)
	for _, f := range floats {
		x, _ := f.(float64)
		s.vector = append(s.vector, float32(x))
	}
	return s
}

// applied reads the partitions' nodes.
func (v *neo4jTarget) applied(ctx context.Context) (map[int32]int64, error) {
	found, err := v.ask(ctx, "MATCH (o:_freshet_place {flow: $flow, target: $target}) RETURN o.partition, o.next", map[string]any{"flow": v.flow, "target": v.name()})
	at := map[int32]int64{}
	for _, f := range found {
		partition, _ := f[0].(int64)
		at[int32(partition)], _ = f[1].(int64)
	}
	return at, err
}

// freezeInside stops a replica whose COMMIT is on its way: it comes to the server when that has ended the transaction, and another has taken
// over and has written more.
func (v *neo4jTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	const commit = "\x00\x02\xb0\x12\x00\x00" // in Bolt: a chunk of two bytes, a structure without fields
	return v.freeze(t, x, commit, v.applied)
}

// evict ends transactions that the replica left open, as the server does after two minutes.
func (v *neo4jTarget) evict(ctx context.Context, t *testing.T, x *replica) {
	t.Helper()
	found, err := v.ask(ctx, "SHOW TRANSACTIONS YIELD transactionId, username WHERE username = $user RETURN transactionId", map[string]any{"user": user(x.ordinal)})
	for _, f := range found {
		if err == nil {
			_, err = v.ask(ctx, "TERMINATE TRANSACTION $id", map[string]any{"id": f[0]})
		}
	}
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
}
