package e2e

import (
	"database/sql"
	"net/http/httptest"
	"path/filepath"
	"testing"

	receiver "github.com/freshet-dev/freshet/examples/webhook-receiver"
)

const webhookFlow = `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets: { index: { webhook: { url: "env:WEBHOOK_URL", secret: "env:WEBHOOK_SECRET" }, tables: { pages: { table: kept } } } }
`

// newReceiver starts a receiver of its own in this process, and returns its URL and its file.
func newReceiver(t *testing.T, secret string) (url string, db *sql.DB) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "receiver.db")
	r, err := receiver.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	r.Secret = secret
	server := httptest.NewServer(r)
	if db, err = sql.Open("sqlite", file+"?_pragma=busy_timeout(10000)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Close()
		_ = r.Close()
		_ = db.Close()
	})
	return server.URL, db
}

// received are the paths and texts that a receiver's readers see.
func received(t *testing.T, db *sql.DB) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT columns ->> 'path' || ': ' || trim(columns ->> 'text', char(10)) FROM rows WHERE staged = 0 AND tab = 'kept' ORDER BY document`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text)
	}
	return all
}

// TestWebhook: files are kept in step with what a receiver holds, by the binary, as they are made, edited and deleted.
func TestWebhook(t *testing.T) {
	url, db := newReceiver(t, "s3cret")
	p := newProject(t, webhookFlow)
	p.env = []string{"WEBHOOK_URL=" + url, "WEBHOOK_SECRET=s3cret"}
	p.write("docs/a.md", "Herons fish at dawn.")
	p.write("docs/b.md", "The pump was painted green.")
	p.devOnce()
	same(t, "received", received(t, db), []string{"a.md: Herons fish at dawn.", "b.md: The pump was painted green."})

	p.write("docs/a.md", "Herons sleep at noon.")
	p.remove("docs/b.md")
	p.devOnce()
	same(t, "received", received(t, db), []string{"a.md: Herons sleep at noon."})
}

// TestVerifyWebhook: what was removed, added or altered at the receiver is found, and a rebuild repairs it.
func TestVerifyWebhook(t *testing.T) {
	url, db := newReceiver(t, "")
	p := newProject(t, webhookFlow)
	p.env = []string{"WEBHOOK_URL=" + url, "WEBHOOK_SECRET=unasked"}
	for _, name := range []string{"a", "b", "c"} {
		p.write("docs/"+name+".md", "Herons fish at dawn, says "+name+".")
	}
	p.devOnce()
	p.clean("index", 3)
	for _, edit := range []string{
		`DELETE FROM rows WHERE document = 'page/a.md'`,
		`UPDATE rows SET columns = json_set(columns, '$.text', 'edited') WHERE document = 'page/b.md'`,
		`INSERT INTO rows SELECT staged, tab, 'page/none.md', key, version, partition, gone, columns, lineage FROM rows WHERE document = 'page/c.md'`,
	} {
		if _, err := db.ExecContext(t.Context(), edit); err != nil {
			t.Fatal(err)
		}
	}
	p.finds("index", "column page/b.md text", "extra page/none.md", "missing page/a.md")
	p.command("rebuild", "index").exits(0)
	p.clean("index", 3)
}
