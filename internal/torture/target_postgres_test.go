package torture

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// postgresTarget is a schema of a database of its own.
type postgresTarget struct {
	url    string
	schema string
	flow   string
	pool   *pgxpool.Pool
}

func newPostgres(t *testing.T, r *rig) target {
	t.Helper()
	v := &postgresTarget{url: testenv.SharedPostgres(t).NewDatabase(t).URL, schema: pgx.Identifier{r.name}.Sanitize(), flow: r.name}
	var err error
	if v.pool, err = pgxpool.New(t.Context(), v.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.pool.Close)
	return v
}

func (*postgresTarget) name() string { return "postgres" }
func (*postgresTarget) whole() bool  { return true }

func (v *postgresTarget) block() string {
	return fmt.Sprintf(`{ postgres: { url: "env:TORTURE_POSTGRES", schema: %q }, tables: [docs, chunks] }`, v.flow)
}

// env lets a replica's sessions carry its name.
func (v *postgresTarget) env(ordinal int) []string {
	return []string{"TORTURE_POSTGRES=" + v.url + "&application_name=" + application(ordinal)}
}

func application(ordinal int) string { return fmt.Sprintf("torture-%d", ordinal) }

func (v *postgresTarget) rows(ctx context.Context, vectors bool) ([]row, error) {
	var there bool
	err := v.pool.QueryRow(ctx, `select to_regclass($1) is not null and to_regclass($2) is not null`, v.schema+".docs", v.schema+".chunks").Scan(&there)
	if err != nil || !there {
		return nil, err
	}
	rows, err := v.pool.Query(ctx, fmt.Sprintf(`select 'docs', _document, _key, _version, id, rev, parts, '', null::real[] from %[1]s.docs
		union all select 'chunks', _document, _key, _version, id, rev, 0, text, %[2]s from %[1]s.chunks`, v.schema, vector(vectors, "embedding")+"::real[]"))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(c pgx.CollectableRow) (s row, err error) {
		return s, c.Scan(&s.table, &s.document, &s.key, &s.version, &s.id, &s.rev, &s.parts, &s.text, &s.vector)
	})
}

// vector is the column, or null in its place.
func vector(asked bool, column string) string {
	if asked {
		return column
	}
	return "null"
}

func (v *postgresTarget) applied(ctx context.Context) (map[int32]int64, error) {
	rows, err := v.pool.Query(ctx, `select partition, next from `+v.schema+`._freshet_offsets where flow = $1 and target = $2`, v.flow, v.name())
	if err != nil {
		return nil, err
	}
	at := map[int32]int64{}
	var partition int32
	var next int64
	_, err = pgx.ForEachRow(rows, []any{&partition, &next}, func() error {
		at[partition] = next
		return nil
	})
	return at, err
}

// freezeInside stops a replica in the middle of a transaction.
func (v *postgresTarget) freezeInside(t *testing.T, x *replica) (thaw func()) {
	t.Helper()
	lock, err := v.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(context.WithoutCancel(t.Context())) }() // it is committed, unless the test has failed
	if _, err := lock.Exec(t.Context(), fmt.Sprintf(`lock table %s.chunks in exclusive mode`, v.schema)); err != nil {
		t.Fatal(err)
	}
	x.rig.until(t, x.name+" is in the middle of a write", func(ctx context.Context) bool {
		return v.sessions(ctx, t, x, `select pid from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'`) > 0
	})
	x.p.signal(syscall.SIGSTOP)
	x.stops(t, "a lock")
	if err := lock.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.rig.until(t, "the write of "+x.name+" waits for its COMMIT", func(ctx context.Context) bool {
		return v.sessions(ctx, t, x, `select pid from pg_stat_activity where application_name = $1 and state = 'idle in transaction'`) > 0
	})
	return func() {}
}

// evict ends transactions that the replica left open, and with them their locks: the server does that after 30 s.
func (v *postgresTarget) evict(ctx context.Context, t *testing.T, x *replica) {
	t.Helper()
	v.sessions(ctx, t, x, `select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and state = 'idle in transaction'`)
}

// sessions counts the replica's sessions that a query gives.
func (v *postgresTarget) sessions(ctx context.Context, t *testing.T, x *replica, query string) (n int) {
	t.Helper()
	err := v.pool.QueryRow(ctx, `select count(*) from (`+query+`) as found`, application(x.ordinal)).Scan(&n)
	if err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	return n
}
