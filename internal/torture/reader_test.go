package torture

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// reader polls the target throughout and remembers the highest version seen of each row.
type reader struct {
	conn    *pgx.Conn
	schema  string
	highest map[string]int64
	polls   int
	faults  []string
}

func newReader(t *testing.T, url, schema string) *reader {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return &reader{conn: conn, schema: schema, highest: map[string]int64{}}
}

type seen struct {
	document, table string
	key             string
	version, rev    int64
	parts           int64
}

// poll reads everything in one snapshot. It finds a version that fell, and a document of which only a part is visible:
// rows of different revisions, or another number of chunks than its row says.
func (r *reader) poll(ctx context.Context) error {
	var there bool
	err := r.conn.QueryRow(ctx, `select to_regclass($1) is not null and to_regclass($2) is not null`,
		pgx.Identifier{r.schema, "docs"}.Sanitize(), pgx.Identifier{r.schema, "chunks"}.Sanitize()).Scan(&there)
	if err != nil || !there {
		return err
	}
	rows, err := r.conn.Query(ctx, fmt.Sprintf(`select _document, 'docs', _key, _version, rev, parts from %[1]s.docs
		union all select _document, 'chunks', _key, _version, rev, 0 from %[1]s.chunks`, pgx.Identifier{r.schema}.Sanitize()))
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s seen, err error) {
		return s, row.Scan(&s.document, &s.table, &s.key, &s.version, &s.rev, &s.parts)
	})
	if err != nil {
		return err
	}
	r.polls++
	r.check(all)
	return nil
}

func (r *reader) check(all []seen) {
	byDocument := map[string][]seen{}
	for _, s := range all {
		byDocument[s.document] = append(byDocument[s.document], s)
		id := s.table + "/" + s.document + "/" + s.key
		if s.version < r.highest[id] {
			r.faults = append(r.faults, fmt.Sprintf("%s fell from version %d to %d", id, r.highest[id], s.version))
		}
		r.highest[id] = s.version
	}
	for document, rows := range byDocument {
		r.whole(document, rows)
	}
}

func (r *reader) whole(document string, rows []seen) {
	parts, chunks := int64(-1), int64(0)
	revs := map[int64]bool{}
	for _, s := range rows {
		revs[s.rev] = true
		if s.table == "docs" {
			parts = s.parts
		} else {
			chunks++
		}
	}
	if len(revs) != 1 || parts != chunks {
		r.faults = append(r.faults, fmt.Sprintf("half of document %s is visible: revisions %v, %d chunks of %d", document, revs, chunks, parts))
	}
}

// declared returns the keys and declared columns of a schema, sorted, as text.
func declared(ctx context.Context, t *testing.T, url, schema string) string {
	t.Helper()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	rows, err := conn.Query(ctx, fmt.Sprintf(`select concat_ws(' | ', 'docs', _document, _key, rev, parts) from %[1]s.docs
		union all select concat_ws(' | ', 'chunks', _document, _key, rev, text, embedding::text) from %[1]s.chunks`, pgx.Identifier{schema}.Sanitize()))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
