package webhook_test

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	receiver "github.com/freshet-dev/freshet/examples/webhook-receiver"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/sinks/webhook"
	"github.com/freshet-dev/freshet/stream"
)

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return newBooth(t, nil).harness() })
}

// booth is a receiver with a file of its own, what stands before it, and a way to meddle with the file by hand.
type booth struct {
	url string
	db  *sql.DB
	*receiver.Receiver
}

// newBooth starts a receiver; before, if it is not nil, gets each request first.
func newBooth(t testing.TB, before func(http.Handler) http.Handler) *booth {
	t.Helper()
	file := filepath.Join(inMemory(t), "receiver.db")
	r, err := receiver.Open(file)
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	var handler http.Handler = r
	if before != nil {
		handler = before(r)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	db, err := sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)")
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return &booth{url: server.URL, db: db, Receiver: r}
}

// inMemory is a directory that costs nothing to sync, where there is one.
func inMemory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "webhook")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

func (b *booth) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	_, err := b.db.ExecContext(t.Context(), query, args...)
	must(t, err)
}

func (b *booth) sink(tables []stream.TargetTable, more ...stream.Entry) (stream.Sink, error) {
	values := stream.MapOf(append([]stream.Entry{{Key: "url", Value: stream.StringOf(b.url)}}, more...)...)
	return webhook.Spec().New(stream.SinkConfig{Settings: stream.Settings{Values: values}, Tables: tables})
}

func (b *booth) harness() sinktest.Harness {
	return sinktest.Harness{
		New: func(tables []stream.TargetTable) (stream.Sink, error) { return b.sink(tables) },
		MakeForeign: func(t *testing.T, table string) {
			b.exec(t, `INSERT INTO tables VALUES (?, '', '', '[]', '')`, table)
		},
		Alter: func(t *testing.T, table string) {
			b.exec(t, `UPDATE tables SET columns = json_insert(columns, '$[#]', json('{"name":"remark","type":"string"}')) WHERE name = ?`, table)
		},
		Drop: func(t *testing.T, table string) {
			b.exec(t, `DELETE FROM tables WHERE name = ?`, table)
			b.exec(t, `DELETE FROM rows WHERE tab = ?`, table)
		},
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			b.exec(t, `UPDATE rows SET columns = json_set(columns, '$.' || ?, ?) WHERE staged = 0 AND tab = ? AND document = ? AND key = ?`,
				column, text, row.Table, row.Document, row.Key)
		},
		Is: sinktest.Guarantees{Guarantees: webhook.Spec().Guarantees},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}
