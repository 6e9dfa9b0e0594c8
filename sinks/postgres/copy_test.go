package postgres_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/postgres"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestContractByCopy: the contract with every upsert by COPY, which else only large batches take.
func TestContractByCopy(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness {
		h := newSchema(t).harness()
		made := h.New
		h.New = func(tables []stream.TargetTable) (stream.Sink, error) {
			sink, err := made(tables)
			if err == nil {
				sink.(*postgres.Sink).CopyFrom(1)
			}
			return sink, err
		}
		return h
	})
}

// TestLargeBatches: what goes by COPY comes after what went by arrays, and before it, in two tables of one layout; also by a user who
// may not make temporary tables.
func TestLargeBatches(t *testing.T) {
	for name, may := range map[string]bool{"by copy": true, "without temporary tables": false} {
		t.Run(name, func(t *testing.T) {
			db := testenv.SharedPostgres(t).NewDatabase(t)
			role := testenv.Name(t)
			db.Exec(t, fmt.Sprintf("create role %s login password 'secret'; grant create on database %s to %[1]s", role, db.Name))
			if !may {
				db.Exec(t, fmt.Sprintf("revoke temporary on database %s from public", db.Name))
			}
			at, err := url.Parse(db.URL)
			must(t, err)
			at.User = url.UserPassword(role, "secret")
			first, second := tableOf("first", column("text", stream.TypeString)), tableOf("second", column("text", stream.TypeString))
			sink, err := newSink(at.String(), "large", first, second)
			must(t, err)
			t.Cleanup(func() { must(t, sink.Close()) })
			begin(t, sink)
			from, want := int64(0), map[string]string{}
			for n, rows := range []int{10, 2000, 5, 2000} {
				b := stream.Batch{From: from, To: from + int64(rows)}
				for i := range rows {
					id := stream.RowID{Table: []string{"first", "second"}[i%2], Document: fmt.Sprint(i / 4), Key: fmt.Sprint(i % 4)}
					text := fmt.Sprint("write ", n)
					want[fmt.Sprint(id)] = text
					b.Units = append(b.Units, stream.Unit{Rows: []stream.RowWrite{{RowID: id, Lineage: []byte("{}"),
						Version: stream.Version{Generation: 1, Offset: from + int64(i)}, Columns: []stream.Value{stream.StringOf(text)}}}})
				}
				must(t, sink.Apply(t.Context(), b))
				from = b.To
			}
			for _, table := range []string{"first", "second"} {
				must(t, sink.(stream.Reader).ReadRows(t.Context(), table, func(r stream.RowWrite) error {
					if id := fmt.Sprint(r.RowID); want[id] != r.Columns[0].Str() {
						t.Errorf("row %s holds %q, want %q", id, r.Columns[0].Str(), want[id])
					} else {
						delete(want, id)
					}
					return nil
				}))
			}
			if len(want) > 0 {
				t.Errorf("%d rows are not there", len(want))
			}
		})
	}
}
