package engine_test

import (
	"bytes"
	"fmt"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// check holds the state against itself after every commit: counts against a scan, references against use counts, emitted
// rows against the materialised ones, the store against a replay of the changelog.
func (s *scene) check(p *part) error {
	for _, law := range []func(*part) error{checkStats, checkContents, checkMemos, checkRows, checkReplay, s.checkOutcomes} {
		if err := law(p); err != nil {
			return err
		}
	}
	return nil
}

func checkStats(p *part) error {
	docs, err := p.documents()
	if err != nil {
		return err
	}
	var want engine.Stats
	for _, h := range docs {
		want.Documents++
		switch h.Status {
		case engine.Pending:
			want.Pending++
		case engine.Quarantined:
			want.Quarantined++
		}
	}
	err = engine.RejectedRecords(p.store, func(engine.Rejected) error { want.Rejected++; return nil })
	if err != nil {
		return err
	}
	got, err := engine.ReadStats(p.store)
	if err != nil {
		return err
	}
	if n := p.count('p'); n != want.Pending {
		return fmt.Errorf("%d entries of pending documents, %d documents are pending", n, want.Pending)
	}
	rows := map[string]int64{}
	for id := range p.rows {
		rows[id.Table]++
	}
	for _, table := range []string{"pages", "words"} {
		if got.Rows[table] != rows[table] {
			return fmt.Errorf("statistics say %d rows of %s, there are %d", got.Rows[table], table, rows[table])
		}
	}
	if got.Documents != want.Documents || got.Pending != want.Pending || got.Quarantined != want.Quarantined || got.Rejected != want.Rejected {
		return fmt.Errorf("statistics say %+v, a scan says %+v", got, want)
	}
	return nil
}

// checkContents: what the statistics say that the state consists of is what lies there.
func checkContents(p *part) error {
	var want engine.Contents
	for _, line := range entriesOf(p.store) {
		kind, n := line.Key[0], engine.Amount{Count: 1, Bytes: int64(len(line.Key) + len(line.Value))}
		switch kind {
		case 'h':
			var h engine.Header
			if err := stream.Unmarshal(line.Value, &h); err != nil {
				return err
			}
			in := int64(len(h.Inline))
			want.Add(engine.Contents{Documents: engine.Amount{Count: 1, Bytes: n.Bytes - in}, Rows: engine.Amount{Count: int64(h.Rows)}})
			if !h.Input.IsZero() {
				want.Add(engine.Contents{Inputs: engine.Amount{Count: 1, Bytes: in}})
			}
		case 'i':
			want.Inputs.Bytes += n.Bytes
		case 'r':
			want.Rows.Bytes += n.Bytes
		case 'm': // its use record comes behind
			want.Add(engine.Contents{Unused: n})
		case 'u':
			want.Add(engine.Contents{Other: n})
			use, err := useOf(line.Value)
			if err != nil {
				return err
			}
			v, _, _ := p.store.Get(append([]byte{'m'}, line.Key[1:]...))
			if use.Size != len(v) && (use.Size > 0 || !p.unsized) {
				return fmt.Errorf("memo %x has %d bytes, its use record says %d", line.Key, len(v), use.Size)
			}
			if use.Count > 0 {
				m := engine.Amount{Count: 1, Bytes: int64(len(line.Key) + len(v))}
				want.Add(engine.Contents{Memos: m, Unused: engine.Amount{Count: -m.Count, Bytes: -m.Bytes}})
			}
		case 'e', 'p', 'q':
			want.Add(engine.Contents{Other: n})
		}
	}
	got := p.engine.Stats().Contents
	if got == nil || *got != want {
		return fmt.Errorf("the state consists of %+v, the statistics say %+v", want, got)
	}
	return nil
}

func entriesOf(s *statestore.Memory) (all []stream.StateEntry) {
	_ = s.Scan(nil, nil, func(k, v []byte) (bool, error) {
		all = append(all, stream.StateEntry{Key: bytes.Clone(k), Value: bytes.Clone(v)})
		return true, nil
	})
	return all
}

// memoUse is a use record.
type memoUse struct {
	Count  int64 `cbor:"1,keyasint"`
	Unused int64 `cbor:"2,keyasint,omitempty"`
	Size   int   `cbor:"3,keyasint,omitempty"`
}

func useOf(record []byte) (u memoUse, err error) {
	err = stream.Unmarshal(record, &u)
	return u, err
}

func (p *part) count(kind byte) (n int64) {
	_ = p.store.Scan([]byte{kind}, nil, func(_, _ []byte) (bool, error) { n++; return true, nil })
	return n
}

// checkMemos: the use count of a memo is the number of documents that refer to it, and every memo referred to is there.
func checkMemos(p *part) error {
	refs := map[string]int64{}
	perDoc := map[string]int{}
	err := p.store.Scan([]byte{'e'}, nil, func(k, _ []byte) (bool, error) {
		refs[string(k[17:33])]++
		perDoc[string(k[1:17])]++
		return true, nil
	})
	if err != nil {
		return err
	}
	err = p.store.Scan([]byte{'u'}, nil, func(k, v []byte) (bool, error) {
		use, err := useOf(v)
		if err != nil {
			return false, err
		}
		memo := string(k[1:])
		if use.Count != refs[memo] || (use.Count == 0) != (use.Unused != 0) {
			return false, fmt.Errorf("memo %x is used %+v, %d documents refer to it", memo, use, refs[memo])
		}
		delete(refs, memo)
		if _, ok, err := p.store.Get(append([]byte{'m'}, memo...)); err != nil || !ok {
			return false, fmt.Errorf("memo %x has a use count but no value: %w", memo, err)
		}
		return true, nil
	})
	if err == nil && len(refs) > 0 {
		err = fmt.Errorf("%d memos are referred to without a use count", len(refs))
	}
	docs, derr := p.documents()
	for id, h := range docs {
		if n := perDoc[string(keyOf(id))]; h.Memos != n {
			return fmt.Errorf("document %s says it refers to %d memos, it refers to %d", id, h.Memos, n)
		}
		delete(perDoc, string(keyOf(id)))
	}
	if err == nil && derr == nil && len(perDoc) > 0 {
		err = fmt.Errorf("%d documents that do not exist refer to memos", len(perDoc))
	}
	if err == nil {
		err = derr
	}
	return err
}

func keyOf(id string) []byte {
	fp := stream.FingerprintBytes([]byte(id))
	return fp[:]
}

// checkRows: what the state says was emitted is what the row records add up to.
func checkRows(p *part) error {
	docs, err := p.documents()
	if err != nil {
		return err
	}
	total, entries := 0, int64(0)
	for id, h := range docs {
		emitted, err := engine.EmittedRows(p.store, id)
		if err != nil {
			return err
		}
		for _, r := range emitted {
			if _, ok := p.rows[r]; !ok {
				return fmt.Errorf("row %v is emitted in the state, no record says so", r)
			}
		}
		if len(emitted) != h.Rows {
			return fmt.Errorf("document %s says %d rows, it has %d", id, h.Rows, len(emitted))
		}
		total += len(emitted)
		if len(h.Few) < h.Rows {
			entries += int64(h.Rows)
		}
	}
	if total != len(p.rows) || entries != p.count('r') {
		return fmt.Errorf("%d rows emitted by documents, %d materialised, %d of %d entries", total, len(p.rows), p.count('r'), entries)
	}
	return nil
}

// checkReplay: a store fed with all committed entries equals the live one (invariant 2).
func checkReplay(p *part) error {
	fresh := statestore.NewMemory()
	if err := fresh.Apply(p.log, stream.Checkpoint{}); err != nil {
		return err
	}
	replayed, live := dump(fresh), dump(p.store)
	if !bytes.Equal(replayed, live) {
		return fmt.Errorf("a replay of the changelog differs from the store")
	}
	return nil
}

func dump(s *statestore.Memory) []byte {
	var b bytes.Buffer
	for kind := byte(1); kind < 255; kind++ {
		_ = s.Scan([]byte{kind}, nil, func(k, v []byte) (bool, error) {
			fmt.Fprintf(&b, "%x=%x\n", k, v)
			return true, nil
		})
	}
	return b.Bytes()
}

// checkOutcomes: every change is counted in exactly one outcome (invariant 8), also across restarts.
func (s *scene) checkOutcomes(p *part) error {
	c := p.counts
	sum := c.Applied + c.Noop + c.Superseded + c.Quarantined
	for _, n := range c.Other {
		sum += n
	}
	docs, err := p.documents()
	if err != nil {
		return err
	}
	for _, h := range docs {
		sum += h.Open
	}
	if sum != p.next {
		return fmt.Errorf("%d records were read, %d are counted: %+v", p.next, sum, c)
	}
	seen := p.engine.Stats().Seen
	if n := seen.Applied + seen.Noop + seen.Superseded + seen.Quarantined + seen.Pending + seen.Other; n != p.next {
		return fmt.Errorf("%d records were read, the statistics have seen %d: %+v", p.next, n, seen)
	}
	return nil
}
