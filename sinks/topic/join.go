package topic

import "iter"

// pair is what two sorters have of a row; the left one may have it in several partitions, each of which is a pair.
type pair struct{ left, right *entry }

// joined goes through two sorters side by side. The right one has at most one entry of a row.
func joined(left, right *sorter) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		next, stop := iter.Pull2(right.all())
		defer stop()
		r, err, more := next()
		met := false // r was paired
		for l, failed := range left.all() {
			for failed == nil && err == nil && more && r.compareRow(l) < 0 {
				if !met && !yield(pair{right: r}, nil) {
					return
				}
				r, err, more = next()
				met = false
			}
			if failed != nil {
				err = failed
			}
			if err != nil {
				yield(pair{}, err)
				return
			}
			p := pair{left: l}
			if more && r.compareRow(l) == 0 {
				p.right, met = r, true
			}
			if !yield(p, nil) {
				return
			}
		}
		for ; more; r, err, more = next() {
			if err != nil || !met {
				if !yield(pair{right: r}, err) || err != nil {
					return
				}
			}
			met = false
		}
	}
}

func concat[K, V any](parts ...iter.Seq2[K, V]) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, part := range parts {
			for k, v := range part {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}
