package engine

import (
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// Forgotten is what a transaction forgets of a document.
type Forgotten struct {
	Rows       map[string]int64 // deletes by table
	InputBytes int              // of its stored input
}

// memosAtOnce bounds how many memos one transaction drops.
const memosAtOnce = 10_000

// Forget folds the deletion of a document, which the source did not send: its rows and its input go as with any delete.
// Call it after Fold and before Reevaluate; and Purge, since the document may have left memos.
func (t *Tx) Forget(id string) (f Forgotten, err error) {
	d := t.docs[id]
	if d == nil {
		h, known, err := t.p.header(id)
		if err != nil || !known {
			return f, err
		}
		d = t.add(id, h, true)
	}
	rows, err := emittedRows(t.p.Store, &d.header)
	if err != nil {
		return f, err
	}
	f.Rows, f.InputBytes = map[string]int64{}, d.header.InputBytes
	for _, r := range rows {
		f.Rows[r.Table]++
	}
	d.gone, d.deleted, d.loaded, d.input, d.image, d.refused = true, true, true, stream.Value{}, stream.Fingerprint{}, nil
	return f, nil
}

// Purge has Finish delete every memo of the partition that no document uses then.
func (t *Tx) Purge() { t.purge = true }

// Purged returns the memos that the transaction drops, after Finish, and whether a later one is to go on.
func (t *Tx) Purged() (memos []stream.Fingerprint, more bool) { return t.purged, t.morePurges }

// dropUnused deletes memos that no document uses, as the transaction leaves them. An evaluation that is under way may have
// found one of them: while there is one, nothing is dropped.
func (t *Tx) dropUnused() error {
	if t.morePurges = t.evaluating(); t.morePurges {
		return nil
	}
	return t.p.Store.Scan([]byte{keyMemoUse}, nil, func(k, _ []byte) (bool, error) {
		key := stream.Fingerprint(k[1:17])
		u, err := t.usage(key)
		if err != nil || u.length == 0 || u.Count > 0 {
			return true, err
		}
		if len(t.purged) == memosAtOnce {
			t.morePurges = true
			return false, nil
		}
		t.purged = append(t.purged, key)
		t.dropMemo(key, u)
		return true, nil
	})
}

func (t *Tx) evaluating() bool {
	for _, e := range t.p.running {
		if d := t.docs[e.id]; d == nil || d.outcome == unchanged {
			return true // else the transaction ends it
		}
	}
	return slices.ContainsFunc(t.order, func(d *document) bool { return d.outcome == waiting })
}

// Drop lets go of results that lie in memory only for a while, so that no later evaluation finds them.
func (e *Evaluator) Drop(memos []stream.Fingerprint) {
	e.memos.mu.Lock()
	defer e.memos.mu.Unlock()
	for _, key := range memos {
		e.memos.recent.drop(key)
	}
}
