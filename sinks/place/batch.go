package place

import (
	"cmp"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// LastWrites are the last write of each row of a batch, by table, in order of ByKey: one statement can't touch a row twice, and rivals that lock
// rows in one order don't deadlock.
func LastWrites(b stream.Batch) map[string][]stream.RowWrite {
	last := map[stream.RowID]stream.RowWrite{}
	for _, u := range b.Units {
		for _, r := range u.Rows {
			last[r.RowID] = r
		}
	}
	tables := map[string][]stream.RowWrite{}
	for id, r := range last {
		tables[id.Table] = append(tables[id.Table], r)
	}
	for _, rows := range tables {
		slices.SortFunc(rows, ByKey)
	}
	return tables
}

// ByKey orders rows of one table by document and key, bytewise.
func ByKey(a, b stream.RowWrite) int {
	return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Key, b.Key))
}

// Split keeps the order of writes, upserts and deletes apart.
func Split(rows []stream.RowWrite) (upserts, deletes []stream.RowWrite) {
	for _, r := range rows {
		if r.Delete {
			deletes = append(deletes, r)
		} else {
			upserts = append(upserts, r)
		}
	}
	return upserts, deletes
}
