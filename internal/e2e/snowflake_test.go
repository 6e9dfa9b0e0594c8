package e2e

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/internal/testenv/warehouse"
)

const snowflakeFlow = `flow: notes
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
models: { lexical: { provider: hash } }
nodes:
  body:   { op: parse.markdown, in: page.content }
  vector: { op: embed, in: body.text, model: lexical }
tables: { pages: { columns: { path: page.path, text: body.text, embedding: vector } } }
targets:
  warehouse:
    snowflake: { account: test, url: "env:SNOWFLAKE_URL", user: u, password: "env:SNOWFLAKE_PASSWORD", database: FRESHET, schema: NAME }
    tables: { pages: { table: kept } }
`

// stock reads and alters the target's table as anybody does. In what it is asked, KEPT is the table.
type stock struct {
	t    *testing.T
	db   *sql.DB
	kept string
}

// newStock makes a project of one target, with a schema of its own in the emulator that the package's tests share.
func newStock(t *testing.T) (*project, stock) {
	t.Helper()
	server, name := testenv.SharedSnowflake(t), testenv.Name(t)
	p := newProject(t, strings.ReplaceAll(snowflakeFlow, "NAME", name))
	p.env = []string{"SNOWFLAKE_URL=" + server.URL(), "SNOWFLAKE_PASSWORD=pw"}
	return p, stock{t, warehouse.Client(t, server), `"FRESHET"."` + name + `"."kept"`}
}

// alter demands that a statement alters one row.
func (w stock) alter(statement string) {
	w.t.Helper()
	result, err := w.db.ExecContext(w.t.Context(), strings.ReplaceAll(statement, "KEPT", w.kept))
	if err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
	if n, err := result.RowsAffected(); n != 1 || err != nil {
		w.t.Fatalf("%s alters %d rows, %v", statement, n, err)
	}
}

func (w stock) texts() (all []string) {
	w.t.Helper()
	rows, err := w.db.QueryContext(w.t.Context(), `SELECT "_document", "text" FROM `+w.kept)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var document, text string
		if err := rows.Scan(&document, &text); err != nil {
			w.t.Fatal(err)
		}
		all = append(all, document+" "+strings.TrimSpace(text))
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// TestSnowflake: files are kept in step with a table, by the binary, as they are made, edited and deleted.
func TestSnowflake(t *testing.T) {
	p, w := newStock(t)
	p.keptInStep("table", w.texts)
}

// TestVerifySnowflake: what was removed, added or altered by hand is found and repaired.
func TestVerifySnowflake(t *testing.T) {
	p, w := newStock(t)
	p.fourPages("warehouse")
	was := w.texts()
	p.planted("warehouse", func() {
		w.alter(`DELETE FROM KEPT WHERE "_document" = 'page/a.md'`)
		w.alter(`UPDATE KEPT SET "text" = 'edited' WHERE "_document" = 'page/b.md'`)
		turned := "[1" + strings.Repeat(",0", 255) + "]"
		w.alter(`UPDATE KEPT SET "embedding" = PARSE_JSON('` + turned + `')::ARRAY WHERE "_document" = 'page/c.md'`)
	}, func() {
		w.alter(`INSERT INTO KEPT ("_document", "_key", "_version", "_partition", "text")
	SELECT 'page/none.md', "_key", "_version", "_partition", "text" FROM KEPT WHERE "_document" = 'page/a.md'`)
		w.alter(`UPDATE KEPT SET "_version" = "_version" - 1 WHERE "_document" = 'page/d.md'`)
	})
	same(t, "table", w.texts(), was)
}
