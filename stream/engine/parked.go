package engine

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Parked is why and until when the evaluation of a pending document rests.
type Parked struct {
	Due      int64  `cbor:"1,keyasint"`           // when it is evaluated again, unix ns
	Times    int    `cbor:"2,keyasint"`           // that it was parked since its last change; the next rest follows from it
	Attempts int    `cbor:"3,keyasint,omitempty"` // of these, those that count: the document may be to blame
	Reason   string `cbor:"4,keyasint,omitempty"` // the last failure
	Node     string `cbor:"5,keyasint,omitempty"` // that was out; "": others of its inputs succeeded meanwhile
}

const (
	firstRest = time.Minute
	maxRest   = time.Hour
	// DefaultAttempts is how many evaluations a document gets that fail and may be its own fault, before it is quarantined.
	DefaultAttempts = 10
)

// rest is how long a document rests that is parked for the n-th time: about twice as long as the time before.
func rest(n int, random float64) time.Duration {
	d := maxRest
	if n < 8 {
		d = min(maxRest, firstRest<<(n-1))
	}
	return d/2 + time.Duration(random*float64(d))
}

// parks reports whether an evaluation failed with what may be over later.
func parks(err error) bool { return err != nil && stream.KindOf(err) == stream.Transient }

// park decides about a document whose evaluation used up its attempts: it is evaluated again when it is due, or was often
// enough. While a node is out, documents come and go with it, and none is to blame.
func (t *Tx) park(d *document) {
	next := Parked{Reason: reason(d.eval.err)}
	if old := d.header.Parked; old != nil && t.p.running[d.fp] == d.eval { // a newer change begins anew
		next.Times, next.Attempts = old.Times, old.Attempts
	}
	var s *spent
	if errors.As(d.eval.err, &s) && s.outage != "" {
		next.Node, d.outages = s.outage, s.ends
	} else {
		next.Attempts++
	}
	if most := t.p.config.attempts(); next.Attempts >= most {
		d.outcome, d.refused = failed, stream.Errorf(stream.Transient, "evaluate", "given up after %d attempts; the last: %w", most, d.eval.err)
		return
	}
	next.Times++
	wait := max(rest(next.Times, t.p.config.random()), retryAfter(d.eval.err))
	next.Due = t.p.config.Now() + wait.Nanoseconds()
	d.outcome, d.parked = parked, &next
}

func (c *Config) attempts() int {
	if c.Attempts > 0 {
		return c.Attempts
	}
	return DefaultAttempts
}

func (c *Config) random() float64 {
	if c.Random != nil {
		return c.Random()
	}
	return rand.Float64()
}

// pendingEntry is the value of an entry of keyPending: since when, and of a parked document what its header says too, so
// that an open reads no headers.
func pendingEntry(since int64, k *Parked) []byte {
	v := binary.BigEndian.AppendUint64(nil, uint64(since))
	if k == nil {
		return v
	}
	return append(binary.BigEndian.AppendUint64(v, uint64(k.Due)), k.Node...)
}

func readPendingEntry(v []byte) (since int64, due int64, node string, isParked bool) {
	if len(v) >= 8 {
		since = int64(binary.BigEndian.Uint64(v))
	}
	if len(v) < 16 {
		return since, 0, "", false
	}
	return since, int64(binary.BigEndian.Uint64(v[8:])), string(v[16:]), true
}

// resting are a partition's parked documents. They hold no input in memory.
type resting struct {
	by    map[stream.Fingerprint]rested
	order dueOrder                               // may hold what has left since, or rests longer now
	nodes map[string]map[stream.Fingerprint]bool // by node that was out
}

type rested struct {
	due     int64
	node    string
	outages int64 // of the node that had ended when it was parked
}

func (r *resting) add(doc stream.Fingerprint, x rested) {
	if r.by == nil {
		r.by, r.nodes = map[stream.Fingerprint]rested{}, map[string]map[stream.Fingerprint]bool{}
	}
	r.remove(doc)
	r.by[doc] = x
	heap.Push(&r.order, dueDocument{x.due, doc})
	if x.node == "" {
		return
	}
	if r.nodes[x.node] == nil {
		r.nodes[x.node] = map[stream.Fingerprint]bool{}
	}
	r.nodes[x.node][doc] = true
}

func (r *resting) remove(doc stream.Fingerprint) {
	x, held := r.by[doc]
	if !held {
		return
	}
	delete(r.by, doc)
	if of := r.nodes[x.node]; of != nil {
		if delete(of, doc); len(of) == 0 {
			delete(r.nodes, x.node)
		}
	}
}

func (r *resting) holds(doc stream.Fingerprint) bool {
	_, held := r.by[doc]
	return held
}

// take removes those that are due: their time has come, or the outage that parked them is over.
func (r *resting) take(now int64, ended func(node string) int64) (due []stream.Fingerprint) {
	for node, of := range r.nodes {
		n := ended(node)
		for doc := range of {
			if r.by[doc].outages < n {
				due = append(due, doc)
			}
		}
	}
	slices.SortFunc(due, func(a, b stream.Fingerprint) int { return bytes.Compare(a[:], b[:]) })
	for _, doc := range due {
		r.remove(doc)
	}
	for len(r.order) > 0 && r.order[0].due <= now {
		d := heap.Pop(&r.order).(dueDocument)
		if x, held := r.by[d.doc]; held && x.due == d.due {
			due = append(due, d.doc)
			r.remove(d.doc)
		}
	}
	return due
}

// dueOrder is a heap of documents, the first due first.
type dueOrder []dueDocument

type dueDocument struct {
	due int64
	doc stream.Fingerprint
}

func (o dueOrder) Len() int           { return len(o) }
func (o dueOrder) Less(i, j int) bool { return o[i].due < o[j].due }
func (o dueOrder) Swap(i, j int)      { o[i], o[j] = o[j], o[i] }

// Push implements heap.Interface.
func (o *dueOrder) Push(x any) { *o = append(*o, x.(dueDocument)) }

// Pop implements heap.Interface.
func (o *dueOrder) Pop() any {
	last := len(*o) - 1
	x := (*o)[last]
	*o = (*o)[:last]
	return x
}
