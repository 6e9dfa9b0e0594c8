package engine

import (
	"github.com/freshet-dev/freshet/stream"
)

// useMemos replaces the document's memo references and keeps the use counts (absolute, serial per partition).
func (t *Tx) useMemos(d *document, memos map[stream.Fingerprint]used) error {
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
	for key, u := range memos {
		if old[key] {
			delete(old, key)
			continue
		}
		t.ov.put(memoRefKey(d.fp, key), []byte{})
		t.stats.Contents.Other.add(1, twoKeys)
		if err := t.useMemo(key, u.value); err != nil {
			return err
		}
	}
	for key := range old {
		t.ov.delete(memoRefKey(d.fp, key))
		t.stats.Contents.Other.add(-1, -twoKeys)
		if err := t.leaveMemo(key); err != nil {
			return err
		}
	}
	d.header.Memos = len(memos)
	return nil
}

// fits refuses results that no record of the changelog can hold: they would abort every transaction. Vectors are small.
func (t *Tx) fits(memos map[stream.Fingerprint]used) error {
	for _, u := range memos {
		if u.own || u.value.Kind() == stream.Vector {
			continue
		}
		if n := len(stream.AppendValue(nil, u.value)); n > t.p.config.MaxRecord {
			return stream.Errorf(stream.Invalid, "store a result", "it has %d bytes, a record may have %d", n, t.p.config.MaxRecord)
		}
	}
	return nil
}

// usage is a memo's use record as the transaction sees it.
type usage struct {
	memoUse
	length int // of the record; 0: there is none, nor the memo
}

func (t *Tx) usage(key stream.Fingerprint) (u usage, err error) {
	raw, held, err := t.ov.get(memoUseKey(key))
	if err != nil || !held {
		return u, err
	}
	u.length = len(raw)
	if err = stream.Unmarshal(raw, &u.memoUse); err != nil || u.Size > 0 {
		return u, err
	}
	v, _, err := t.ov.get(memoKey(key)) // an earlier build wrote the record
	u.Size = len(v)
	return u, err
}

// useMemo counts one more use of a memo, and stores it where the partition does not hold it, or no longer.
func (t *Tx) useMemo(key stream.Fingerprint, v stream.Value) error {
	u, err := t.usage(key)
	if err != nil {
		return err
	}
	now := memoUse{Count: u.Count + 1, Size: u.Size}
	if u.length == 0 {
		encoded := stream.AppendValue(nil, v)
		t.ov.put(memoKey(key), encoded)
		now.Size = len(encoded)
	}
	t.setUsage(key, u, now)
	return nil
}

// leaveMemo counts one use less.
func (t *Tx) leaveMemo(key stream.Fingerprint) error {
	u, err := t.usage(key)
	if err != nil || u.length == 0 {
		return err
	}
	now := memoUse{Count: u.Count - 1, Size: u.Size}
	if now.Count <= 0 {
		now.Count, now.Unused = 0, t.p.config.Now()
	}
	t.setUsage(key, u, now)
	return nil
}

func (t *Tx) setUsage(key stream.Fingerprint, before usage, now memoUse) {
	t.uncount(before)
	encoded := encode(now)
	t.ov.put(memoUseKey(key), encoded)
	t.stats.Contents.memo(now, 1)
	t.stats.Contents.Other.add(1, oneKey+len(encoded))
}

// dropMemo deletes a memo and its use record.
func (t *Tx) dropMemo(key stream.Fingerprint, u usage) {
	t.uncount(u)
	t.ov.delete(memoUseKey(key))
	t.ov.delete(memoKey(key))
}

func (t *Tx) uncount(u usage) {
	if u.length > 0 {
		t.stats.Contents.memo(u.memoUse, -1)
		t.stats.Contents.Other.add(-1, -(oneKey + u.length))
	}
}
