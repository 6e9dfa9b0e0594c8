//go:build bench

package sinks

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/sinks/sqlite"
)

// sqliteContest has a bare client with the same driver and settings of the file: one prepared statement, one transaction for a batch.
func sqliteContest(t *testing.T, k kind) contest {
	t.Helper()
	dir := t.TempDir()
	return contest{size: size{2000, 6, 20_000}, sink: newSink(t, sqlite.Spec(), settings(text("path", filepath.Join(dir, "guarded.db"))), k),
		same: inserter(t, filepath.Join(dir, "bare.db"), k, true), columns: inserter(t, filepath.Join(dir, "columns.db"), k, false)}
}

func inserter(t *testing.T, path string, k kind, whole bool) writer {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(4000)")
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	columns := []string{"document text not null", "key text not null", "n integer", "path text", "text text"}
	if k.dims > 0 {
		columns = append(columns, "embedding blob")
	}
	if whole {
		columns = append(columns, "version integer", "partition integer", "lineage text")
	}
	var set []string
	for _, c := range columns[2:] {
		column, _, _ := strings.Cut(c, " ")
		set = append(set, fmt.Sprintf("%[1]s = excluded.%[1]s", column))
	}
	_, err = db.ExecContext(t.Context(), "create table pages ("+strings.Join(columns, ", ")+", primary key (document, key))")
	must(t, err)
	insert, err := db.PrepareContext(t.Context(), "insert into pages values (?"+strings.Repeat(", ?", len(columns)-1)+") on conflict (document, key) do update set "+strings.Join(set, ", "))
	must(t, err)
	return func(ctx context.Context, rows []row) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // it is committed, unless something failed
		statement := tx.StmtContext(ctx, insert)
		for _, r := range rows {
			v := []any{r.document, r.key, r.n, r.path, r.text}
			if k.dims > 0 {
				v = append(v, blob(r.vector))
			}
			if whole {
				v = append(v, r.version(), 0, lineage)
			}
			if _, err := statement.ExecContext(context.WithoutCancel(ctx), v...); err != nil { // watching ctx costs the driver a goroutine per row
				return err
			}
		}
		return tx.Commit()
	}
}

func blob(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}
