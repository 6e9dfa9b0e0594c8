//go:build bench

package sinks

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/postgres"
)

// postgresContest has a bare client that takes the fastest way of writing rows of which some exist: COPY into a temporary table, and
// one upsert from there, in one transaction.
func postgresContest(t *testing.T, k kind) contest {
	t.Helper()
	db := testenv.SharedPostgres(t).NewDatabase(t)
	conn, err := pgx.Connect(t.Context(), db.URL)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	var oid uint32
	must(t, conn.QueryRow(t.Context(), `select 'vector'::regtype::oid`).Scan(&oid))
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "vector", OID: oid, Codec: pgtype.ByteaCodec{}})
	return contest{size: size{2000, 6, 20_000}, sink: newSink(t, postgres.Spec(), settings(text("url", db.URL), text("schema", "guarded")), k),
		same: copier(t, conn, k, "bare", true), columns: copier(t, conn, k, "bare_columns", false)}
}

func copier(t *testing.T, conn *pgx.Conn, k kind, name string, whole bool) writer {
	t.Helper()
	columns := []string{"document text", "key text", "n bigint", "path text", "text text"}
	if k.dims > 0 {
		columns = append(columns, fmt.Sprintf("embedding vector(%d)", k.dims))
	}
	if whole {
		columns = append(columns, "version bigint", "partition int", "lineage jsonb")
	}
	var names, set []string
	for _, c := range columns {
		column, _, _ := strings.Cut(c, " ")
		names = append(names, column)
		if column != "document" && column != "key" {
			set = append(set, fmt.Sprintf("%[1]s = excluded.%[1]s", column))
		}
	}
	declared := strings.Join(columns, ", ")
	_, err := conn.Exec(t.Context(), fmt.Sprintf(`create table %[1]s (%[2]s, primary key (document, key)); create temp table %[1]s_in (%[2]s)`, name, declared))
	must(t, err)
	merge := fmt.Sprintf(`insert into %[1]s select * from %[1]s_in order by document, key on conflict (document, key) do update set %[2]s`, name, strings.Join(set, ", "))
	return func(ctx context.Context, rows []row) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "truncate "+name+"_in"); err != nil {
				return err
			}
			source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return values(k, rows[i], whole), nil })
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{name + "_in"}, names, source); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, merge)
			return err
		})
	}
}

func values(k kind, r row, whole bool) []any {
	v := []any{r.document, r.key, r.n, r.path, r.text}
	if k.dims > 0 {
		v = append(v, pgvector(r.vector))
	}
	if whole {
		v = append(v, r.version(), 0, lineage)
	}
	return v
}

// pgvector is the extension's binary form.
func pgvector(v []float32) []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 4+4*len(v)), uint16(len(v)))
	b = append(b, 0, 0)
	for _, x := range v {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
