//go:build bench

package sinks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/internal/testenv/warehouse"
	"github.com/freshet-dev/freshet/sinks/snowflake"
)

// snowflakeContest has a bare client that merges all rows of a batch by one statement, by itself a transaction. The server is an emulator.
func snowflakeContest(t *testing.T, k kind) contest {
	t.Helper()
	t.Setenv("FRESHET_TEST_PASSWORD", "pw") // of the emulator
	server, schema := testenv.SharedSnowflake(t), testenv.Name(t)
	db := warehouse.Client(t, server)
	run := func(ctx context.Context, sql string, args ...any) error {
		_, err := db.ExecContext(ctx, sql, args...)
		return err
	}
	in := fmt.Sprintf("%q.%q", server.Database(), schema)
	must(t, run(t.Context(), "create schema if not exists "+in))
	bare := func(name string, whole bool) writer {
		columns := []string{"document varchar", "key varchar", "n int", "path varchar", "text varchar"}
		if k.dims > 0 {
			columns = append(columns, "embedding varchar")
		}
		if whole {
			columns = append(columns, "version int", "partition_ int", "lineage varchar")
		}
		var names, read, set, from []string
		for i, c := range columns {
			column, kind, _ := strings.Cut(c, " ")
			names, from = append(names, column), append(from, "s."+column)
			read = append(read, fmt.Sprintf("f.VALUE[%d]::VARCHAR::%s as %s", i, kind, column))
			if i > 1 {
				set = append(set, column+" = s."+column)
			}
		}
		table := in + "." + name
		must(t, run(t.Context(), "create table "+table+" ("+strings.Join(columns, ", ")+")"))
		merge := "merge into " + table + " as t using (select " + strings.Join(read, ", ") + " from table(flatten(input => parse_json(?))) as f) as s " +
			"on t.document = s.document and t.key = s.key when matched then update set " + strings.Join(set, ", ") +
			" when not matched then insert (" + strings.Join(names, ", ") + ") values (" + strings.Join(from, ", ") + ")"
		return func(ctx context.Context, rows []row) error {
			all := make([][]string, len(rows))
			for i, r := range rows {
				all[i] = []string{r.document, r.key, fmt.Sprint(r.n), r.path, r.text}
				if k.dims > 0 {
					vector, err := json.Marshal(r.vector)
					if err != nil {
						return err
					}
					all[i] = append(all[i], string(vector))
				}
				if whole {
					all[i] = append(all[i], fmt.Sprint(r.version()), "0", lineage)
				}
			}
			text, err := json.Marshal(all)
			if err != nil {
				return err
			}
			return run(ctx, merge, string(text))
		}
	}
	set := settings(text("url", server.URL()), text("schema", schema), text("account", "test"), text("user", "u"), text("password", "env:FRESHET_TEST_PASSWORD"), text("database", server.Database()))
	return contest{size: size{500, 4, 2000}, sink: newSink(t, snowflake.Spec(), set, k),
		same: bare("bare", true), columns: bare("columns_", false)}
}
