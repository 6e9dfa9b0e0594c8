package torture

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/internal/testenv/warehouse"
	"github.com/freshet-dev/freshet/stream"
)

// snowflakeTarget is a schema in an emulator of Snowflake, which can be killed.
type snowflakeTarget struct {
	flow   string
	server *testenv.SnowflakeServer
	db     *sql.DB
}

// idleLimit is after what time the emulator ends a transaction that stands still, where Snowflake takes five minutes.
const idleLimit = 3 * time.Second

func newSnowflake(t *testing.T, r *rig) target {
	t.Helper()
	v := &snowflakeTarget{flow: r.name, server: testenv.Snowflake(t, testenv.SnowflakeOptions{Kept: true, IdleLimit: idleLimit})}
	v.db = warehouse.Client(t, v.server)
	return v
}

func (*snowflakeTarget) name() string { return "snowflake" }
func (*snowflakeTarget) whole() bool  { return true }

func (v *snowflakeTarget) block() string {
	return fmt.Sprintf(`{ snowflake: { account: test, url: "env:TORTURE_SNOWFLAKE", user: u, password: "env:TORTURE_SNOWFLAKE_PASSWORD", database: FRESHET, schema: %q }, tables: [docs, chunks] }`, v.flow)
}

func (v *snowflakeTarget) env(int) []string {
	return []string{"TORTURE_SNOWFLAKE=" + v.server.URL(), "TORTURE_SNOWFLAKE_PASSWORD=pw"}
}

func (v *snowflakeTarget) restart(t *testing.T) {
	t.Helper()
	v.server.Kill()
	v.server.Start(t)
}

func (v *snowflakeTarget) table(name string) string {
	return `"FRESHET"."` + v.flow + `"."` + name + `"`
}

func (v *snowflakeTarget) rows(ctx context.Context, vectors bool) (all []row, err error) {
	err = v.query(ctx, fmt.Sprintf(`SELECT 'docs', "_document", "_key", "_version", "id", "rev", "parts", '', NULL FROM %s
UNION ALL SELECT 'chunks', "_document", "_key", "_version", "id", "rev", 0, "text", %s FROM %s`,
		v.table("docs"), vector(vectors, `TO_VARCHAR("embedding")`), v.table("chunks")), func(rows *sql.Rows) error {
		var s row
		var embedding sql.NullString
		if err := rows.Scan(&s.table, &s.document, &s.key, &s.version, &s.id, &s.rev, &s.parts, &s.text, &embedding); err != nil {
			return err
		}
		all = append(all, s)
		if !embedding.Valid {
			return nil
		}
		return json.Unmarshal([]byte(embedding.String), &all[len(all)-1].vector)
	})
	return all, err
}

func (v *snowflakeTarget) applied(ctx context.Context) (map[int32]int64, error) {
	at := map[int32]int64{}
	return at, v.query(ctx, `SELECT "partition", "next" FROM `+v.table("_freshet_places"), func(rows *sql.Rows) error {
		var partition int32
		var next int64
		err := rows.Scan(&partition, &next)
		at[partition] = next
		return err
	})
}

// Snowflake's numbers for what does not exist, and for a session that is over, since its server was killed.
const absent, over = 2003, 390111

// query gives no rows where there is no table; what a killed server causes is transient.
func (v *snowflakeTarget) query(ctx context.Context, text string, each func(*sql.Rows) error) error {
	rows, err := v.db.QueryContext(ctx, text)
	if err != nil {
		var refusal *gosnowflake.SnowflakeError
		if !errors.As(err, &refusal) {
			return &stream.Error{Op: "read Snowflake", Kind: stream.Transient, Err: err}
		}
		switch refusal.Number {
		case absent:
			return nil
		case over:
			v.db.SetMaxIdleConns(0) // the others are over, too
			v.db.SetMaxIdleConns(2)
			return &stream.Error{Op: "read Snowflake", Kind: stream.Transient, Err: err}
		}
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
