package engine

import (
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// recentValues keeps values up to a bound of bytes, dropping the oldest.
type recentValues struct {
	byKey map[stream.Fingerprint]stream.Value
	order []stream.Fingerprint
	bytes int
	bound int
}

func newRecentValues(bound int) *recentValues {
	return &recentValues{byKey: map[stream.Fingerprint]stream.Value{}, bound: bound}
}

func (r *recentValues) get(k stream.Fingerprint) (stream.Value, bool) {
	v, ok := r.byKey[k]
	return v, ok
}

func (r *recentValues) put(k stream.Fingerprint, v stream.Value) {
	if _, ok := r.byKey[k]; ok {
		return
	}
	r.byKey[k] = v
	r.order = append(r.order, k)
	r.bytes += valueSize(v)
	for r.bytes > r.bound && len(r.order) > 1 {
		old := r.order[0]
		r.order = r.order[1:]
		r.bytes -= valueSize(r.byKey[old])
		delete(r.byKey, old)
	}
}

func (r *recentValues) drop(k stream.Fingerprint) {
	if v, ok := r.byKey[k]; ok {
		delete(r.byKey, k)
		r.order = slices.DeleteFunc(r.order, func(o stream.Fingerprint) bool { return o == k })
		r.bytes -= valueSize(v)
	}
}

func valueSize(v stream.Value) int { return 96 + len(v.Raw()) + v.Len() }
