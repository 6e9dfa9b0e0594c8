package engine

import (
	"github.com/freshet-dev/freshet/stream"
)

// useMemos replaces the document's memo references and keeps the use counts (absolute, serial per partition).
func (t *Tx) useMemos(d *document, memos map[stream.Fingerprint]*stream.Value) error {
	var old map[stream.Fingerprint]bool
	if d.header.Memos > 0 {
		old = make(map[stream.Fingerprint]bool, d.header.Memos)
		err := t.p.Store.Scan(docKey(keyMemoRef, d.fp), nil, func(k, _ []byte) (bool, error) {
			old[stream.Fingerprint(k[17:33])] = true
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	for key, v := range memos {
		if old[key] {
			delete(old, key)
			continue
		}
		t.ov.put(memoRefKey(d.fp, key), []byte{})
		if err := t.useMemo(key, v, 1); err != nil {
			return err
		}
	}
	for key := range old {
		t.ov.delete(memoRefKey(d.fp, key))
		if err := t.useMemo(key, nil, -1); err != nil {
			return err
		}
	}
	d.header.Memos = len(memos)
	return nil
}

// fits refuses results that no record of the changelog can hold: they would abort every transaction. Vectors are small.
func (t *Tx) fits(memos map[stream.Fingerprint]*stream.Value) error {
	for _, v := range memos {
		if v == nil || v.Kind() == stream.Vector {
			continue
		}
		if n := len(stream.AppendValue(nil, *v)); n > t.p.config.MaxRecord {
			return stream.Errorf(stream.Invalid, "store a result", "it has %d bytes, a record may have %d", n, t.p.config.MaxRecord)
		}
	}
	return nil
}

func (t *Tx) useMemo(key stream.Fingerprint, v *stream.Value, by int64) error {
	var use memoUse
	if _, err := t.ov.load(append([]byte{keyMemoUse}, key[:]...), &use); err != nil {
		return err
	}
	use.Count, use.Unused = use.Count+by, 0
	if use.Count <= 0 {
		use.Count, use.Unused = 0, t.p.config.Now()
	}
	t.ov.put(append([]byte{keyMemoUse}, key[:]...), encode(use))
	if v == nil {
		return nil
	}
	valueKey := append([]byte{keyMemo}, key[:]...)
	if _, ok, err := t.ov.get(valueKey); err != nil || ok {
		return err
	}
	t.ov.put(valueKey, stream.AppendValue(nil, *v))
	return nil
}
