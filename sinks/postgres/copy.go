package postgres

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/freshet-dev/freshet/stream"
)

// copyFrom is how many upserts to a table go by COPY into a temporary table, and from there by one statement. The server
// reads them while they are made, and reads no arrays; below, two more round trips cost more than that.
const copyFrom = 500

// fromWhere returns from how many rows on upserts are copied: never, where the user may not make temporary tables.
func fromWhere(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	var may bool
	err := pool.QueryRow(ctx, `SELECT has_database_privilege(current_database(), 'TEMP')`).Scan(&may)
	if !may {
		return math.MaxInt, err
	}
	return copyFrom, err
}

// incoming is a table's temporary one, which each connection makes for itself and the end of each transaction empties.
type incoming struct {
	name    string   // in pg_temp
	create  string   // makes it unless it is there
	columns []string // in the order of upsert's arguments
}

func (t *table) incoming() incoming {
	in := incoming{columns: []string{"_document", "_key", "_version", "_lineage"}}
	declared := "_document text, _key text, _version bigint, _lineage jsonb"
	for _, c := range t.columns {
		in.columns = append(in.columns, c.name)
		declared += fmt.Sprintf(", %s %s", quote(c.name), c.sql)
	}
	// Of another table, or of this one with other columns, it is another: a pool of connections may keep them for long.
	in.name = ownPrefix + "in_" + stream.FingerprintBytes([]byte(t.live.quoted+" "+declared)).String()
	in.create = fmt.Sprintf("CREATE TEMP TABLE IF NOT EXISTS %s (%s) ON COMMIT DELETE ROWS", quote(in.name), declared)
	return in
}

// copyRows writes rows by way of the temporary table.
func (t *table) copyRows(ctx context.Context, tx pgx.Tx, to relation, partition int32, rows []stream.RowWrite) error {
	if _, err := tx.Exec(ctx, t.in.create); err != nil {
		return err
	}
	var refused error
	next := 0
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"pg_temp", t.in.name}, t.in.columns, pgx.CopyFromFunc(func() (values []any, _ error) {
		if next == len(rows) {
			return nil, nil
		}
		values, refused = upsert(t, rows[next])
		next++
		return values, refused
	}))
	if refused != nil {
		return refused // rather than what the server says of a COPY that was given up
	}
	if err == nil {
		_, err = tx.Exec(ctx, to.merge, partition)
	}
	return t.explain(err, rows)
}

// mergeSQL writes the rows of the temporary table, as upsertSQL does those of arrays.
func (t *table) mergeSQL(into, also string) string {
	return fmt.Sprintf("INSERT INTO %s AS t (%s) SELECT $1::int, u.* FROM pg_temp.%s AS u WHERE true\n%s", into, t.columnList(), quote(t.in.name), t.conflict(also))
}
