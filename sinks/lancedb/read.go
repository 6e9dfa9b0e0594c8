package lancedb

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// rowPage is how many rows one answer has of those that are read as a whole.
const rowPage = 1000

// alive is met by rows, and not by tombstones.
const alive = colDeleted + " = false"

// everything is no limit.
const everything = math.MaxInt32

// question asks for rows of a table.
type question struct {
	K            int      `json:"k"` // at most so many
	Vector       vector   `json:"vector"`
	VectorColumn string   `json:"vector_column,omitempty"`
	Distance     string   `json:"distance_type,omitempty"`
	Lower        *float64 `json:"lower_bound,omitempty"`
	Filter       string   `json:"filter,omitempty"` // in SQL
	Prefilter    bool     `json:"prefilter,omitempty"`
	Columns      *names   `json:"columns,omitempty"` // nil for all
	Version      int64    `json:"version,omitempty"` // of the table; 0 for the newest
}

type vector struct {
	Single []float32 `json:"single_vector"` // none: no search
}

type names struct {
	Names []string `json:"column_names"`
}

// ask visits the rows that the answer has, in any order.
func (s *store) ask(ctx context.Context, doing string, p *place, q question, each func(a answer, row int) error) error {
	if q.Vector.Single == nil {
		q.Vector.Single = []float32{}
	}
	r, err := about(doing, "table", s.of(p), "query", q)
	if err != nil {
		return err
	}
	body, err := s.send(ctx, r)
	if err != nil {
		return err
	}
	file, err := ipc.NewFileReader(bytes.NewReader(body))
	if err != nil {
		return stream.Errorf(stream.Transient, "lancedb: "+doing, "the answer is no file in Arrow's format: %w", err)
	}
	defer file.Close()
	for n := range file.NumRecords() {
		batch, err := file.RecordBatchAt(n)
		if err != nil {
			return stream.Errorf(stream.Transient, "lancedb: "+doing, "the answer is damaged: %w", err)
		}
		for row := range int(batch.NumRows()) {
			if err := each(answer{batch}, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// Read reads a table in order of (document, key), as it was when reading began. See guard.Reader.
func (s *store) Read(ctx context.Context, name string, each func(guard.Item) error) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	d, err := s.describe(ctx, t.place)
	if err != nil {
		return err
	}
	ids, err := s.identities(ctx, t, d.Version)
	for len(ids) > 0 && err == nil {
		n := min(len(ids), rowPage)
		if err = s.readPage(ctx, t, d.Version, ids[0], ids[n-1], each); err == nil {
			ids = ids[n:]
		}
	}
	return err
}

// identities lists the rows of a table, in order: the server sorts nothing.
func (s *store) identities(ctx context.Context, t *table, version int64) (ids []stream.RowID, err error) {
	q := question{K: everything, Version: version, Filter: alive, Columns: &names{[]string{colDocument, colKey}}}
	err = s.ask(ctx, "list rows", t.place, q, func(a answer, row int) error {
		ids = append(ids, a.identity(row))
		return nil
	})
	slices.SortFunc(ids, inOrder)
	return ids, err
}

func inOrder(a, b stream.RowID) int {
	return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Key, b.Key))
}

// readPage reads the rows from one to another.
func (s *store) readPage(ctx context.Context, t *table, version int64, first, last stream.RowID, each func(guard.Item) error) error {
	var rows []guard.Item
	q := question{K: everything, Version: version, Filter: alive + " AND " + beyond(first, ">") + " AND " + beyond(last, "<")}
	err := s.ask(ctx, "read rows", t.place, q, func(a answer, row int) error {
		rows = append(rows, t.row(a, row))
		return nil
	})
	slices.SortFunc(rows, func(a, b guard.Item) int { return inOrder(a.RowID, b.RowID) })
	for _, i := range rows {
		if err == nil {
			err = each(i)
		}
	}
	return err
}

// beyond is met by rows on one side of a row, and by that row, in SQL.
func beyond(id stream.RowID, side string) string {
	document, key := quoted(id.Document), quoted(id.Key)
	return fmt.Sprintf("(%s %s %s OR (%s = %s AND %s %s= %s))", colDocument, side, document, colDocument, document, colKey, side, key)
}

// quoted is a string in SQL.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// Scan looks rows of a range up. See guard.Rows. A row under another ID than its own was not written by this flow, and no
// put reaches it: it is deleted, since what is scanned is to go.
func (s *store) Scan(ctx context.Context, name string, in guard.Range, limit int) (rows []guard.Held, err error) {
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	var strangers []string
	q := question{K: limit, Filter: alive + " AND " + condition(in), Columns: &names{[]string{colID, colDocument, colKey, colVersion}}}
	err = s.ask(ctx, "look for rows", t.place, q, func(a answer, row int) error {
		held := guard.Held{RowID: a.identity(row), Version: stream.Unpack(a.int(colVersion, row))}
		if id := a.text(colID, row); id != rowID(held.Document, held.Key) {
			strangers = append(strangers, quoted(id))
			return nil
		}
		held.Table = name
		rows = append(rows, held)
		return nil
	})
	if err != nil || len(strangers) == 0 {
		return rows, err
	}
	err = s.remove(ctx, "remove rows", t.place, fmt.Sprintf("%s IN (%s) AND %s", colID, strings.Join(strangers, ", "), condition(in)))
	if err != nil || len(rows) > 0 {
		return rows, err
	}
	return s.Scan(ctx, name, in, limit)
}
