package history

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// Difference compares the rows of a table in two targets: keys and declared columns.
type Difference struct {
	Rows      int64    `json:"rows"`      // in the first
	Missing   int64    `json:"missing"`   // only in the second
	Surplus   int64    `json:"surplus"`   // only in the first
	Different int64    `json:"different"` // in both, with other columns
	Examples  []string `json:"examples,omitempty"`
}

// None reports whether the tables are equal.
func (d Difference) None() bool { return d.Missing+d.Surplus+d.Different == 0 }

// String says it in words.
func (d Difference) String() string {
	if d.None() {
		return fmt.Sprintf("%d rows, no difference", d.Rows)
	}
	return fmt.Sprintf("%d rows; %d missing, %d surplus, %d different, such as: %s", d.Rows, d.Missing, d.Surplus, d.Different, strings.Join(d.Examples, "; "))
}

// examples is how many rows a Difference names.
const examples = 5

func (d *Difference) note(n *int64, what string, id stream.RowID) {
	*n++
	if len(d.Examples) < examples {
		d.Examples = append(d.Examples, fmt.Sprintf("%s %s key %q", what, id.Document, id.Key))
	}
}

// Compare compares a table as two targets hold it, the first against the second, leaving out some documents.
func Compare(ctx context.Context, table string, first, second stream.Reader, without []string) (Difference, error) {
	var d Difference
	left := map[stream.RowID]stream.Fingerprint{}
	if err := second.ReadRows(ctx, table, func(w stream.RowWrite) error {
		if !slices.Contains(without, w.Document) {
			left[w.RowID] = columns(w)
		}
		return nil
	}); err != nil {
		return d, err
	}
	err := first.ReadRows(ctx, table, func(w stream.RowWrite) error {
		if slices.Contains(without, w.Document) {
			return nil
		}
		d.Rows++
		want, ok := left[w.RowID]
		switch {
		case !ok:
			d.note(&d.Surplus, "surplus", w.RowID)
		case want != columns(w):
			d.note(&d.Different, "different", w.RowID)
		}
		delete(left, w.RowID)
		return nil
	})
	for id := range left {
		d.note(&d.Missing, "missing", id)
	}
	return d, err
}

func columns(w stream.RowWrite) stream.Fingerprint {
	return stream.FingerprintOf(stream.ListOf(w.Columns...))
}

// Quarantine enters the documents that the replay and the other build quarantined, and returns all of them.
func (c *Check) Quarantine(replayed, built []string) (all []string) {
	for _, d := range replayed {
		if !slices.Contains(built, d) {
			c.Unlike = append(c.Unlike, d)
		}
	}
	all = append(all, replayed...)
	for _, d := range built {
		if !slices.Contains(replayed, d) {
			c.Unlike, all = append(c.Unlike, d), append(all, d)
		}
	}
	c.Quarantined = int64(len(all))
	return all
}

// Vectors adds up the bytes of a table's vectors: of all rows, and of those that differ.
type Vectors struct {
	All, Distinct int64
	seen          map[stream.Fingerprint]bool
}

// Read adds a table.
func (v *Vectors) Read(ctx context.Context, table string, from stream.Reader) error {
	if v.seen == nil {
		v.seen = map[stream.Fingerprint]bool{}
	}
	return from.ReadRows(ctx, table, func(w stream.RowWrite) error {
		for _, c := range w.Columns {
			if c.Kind() != stream.Vector {
				continue
			}
			v.All += int64(len(c.Raw()))
			if id := stream.FingerprintOf(c); !v.seen[id] {
				v.seen[id] = true
				v.Distinct += int64(len(c.Raw()))
			}
		}
		return nil
	})
}
