package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Config is what all partitions of a flow share.
type Config struct {
	Program stream.Program
	Source  string         // name of the flow's source; "": of several, and the documents' IDs say which
	Decoder stream.Decoder // of the source's records
	// Salt identifies how records become fields; equal images under another salt are decoded again.
	Salt      stream.Fingerprint
	MaxRecord int          // bytes that a row record may have; a document with a larger row is quarantined
	Now       func() int64 // unix ns; for bookkeeping only, never for results
	// MemoRetention is how long a memo stays that no document uses; 0: for ever.
	MemoRetention time.Duration
	// Attempts is how many evaluations a document gets whose inputs fail while others succeed, before it is quarantined;
	// 0: DefaultAttempts.
	Attempts int
	Random   func() float64 // from [0, 1), for the rests of parked documents; nil: by chance
}

// Partition is the state of one partition between transactions. Its methods are called by one goroutine; the evaluator
// reads Store concurrently.
type Partition struct {
	ID    int32
	Store Store

	config   Config
	revision string                        // of the program, as lineage has it
	tables   map[string]*tablePlan         // of the program
	columns  map[string]stream.Fingerprint // their names, by table
	headers  *headerCache
	keyed    keyed // the decoder, when it is one
	stats    Stats
	running  map[stream.Fingerprint]*Evaluation // by document: pending evaluations
	backlog  []stream.Fingerprint               // documents that another program evaluated, still to be evaluated
	waiting  []stream.Fingerprint               // pending documents found at start, and parked ones that are due
	resting  resting                            // parked ones that are not
	pass     int64                              // generation whose pass mark was written
	sweep    sweep
}

// tablePlan is what rows of a table are encoded with.
type tablePlan struct {
	stream.Table
	nodes []stream.NodeLineage // of a program of one source
	sourced
	bySource map[string][]stream.NodeLineage // found so far, of a program of several
}

// sourced is a program of several sources, whose rows of one table need not come by the same nodes.
type sourced interface {
	SourceLineage(table, source string) []stream.NodeLineage
	Several() bool
}

// lineage names the nodes on the path of a document's rows.
func (t *tablePlan) lineage(document string) []stream.NodeLineage {
	if t.sourced == nil {
		return t.nodes
	}
	source := sourceOf(document)
	nodes, found := t.bySource[source]
	if !found {
		nodes = t.SourceLineage(t.Name, source)
		t.bySource[source] = nodes
	}
	return nodes
}

// tablePlans are those of a program's tables, by name.
func tablePlans(program stream.Program) map[string]*tablePlan {
	plans := map[string]*tablePlan{}
	for _, table := range program.Tables() {
		plan := &tablePlan{Table: table, nodes: program.TableLineage(table.Name)}
		if s, ok := program.(sourced); ok && s.Several() {
			plan.sourced, plan.bySource = s, map[string][]stream.NodeLineage{}
		}
		plans[table.Name] = plan
	}
	return plans
}

// OpenPartition reads what a restored store says of its documents: the counts, the pending ones, and with scanBacklog those that another
// program than the current one evaluated and those of sources that it no longer has: they form the backlog.
func OpenPartition(id int32, store Store, c Config, scanBacklog bool) (*Partition, error) {
	p := &Partition{ID: id, Store: store, config: c, headers: newHeaderCache(), running: map[stream.Fingerprint]*Evaluation{},
		revision: c.Program.Logic().String(), tables: tablePlans(c.Program)}
	p.keyed, _ = c.Decoder.(keyed)
	p.columns = columnsOf(c.Program.Tables())
	ov := newOverlay(store)
	if _, err := ov.load([]byte{keyStats}, &p.stats); err != nil {
		return nil, fmt.Errorf("read statistics of partition %d: %w", id, err)
	}
	if p.stats.Contents == nil {
		var err error
		if p.stats.Contents, err = CountContents(store); err != nil {
			return nil, fmt.Errorf("count the contents of partition %d: %w", id, err)
		}
	}
	if v, ok, err := store.Get([]byte{keyPassMarked}); err != nil {
		return nil, err
	} else if ok && len(v) == 8 {
		p.pass = int64(binary.BigEndian.Uint64(v))
	}
	if c.MemoRetention > 0 {
		p.sweep.due = c.Now() // by now: nobody knows when the last one was
	}
	if err := errors.Join(p.findPending(), p.warm()); err != nil {
		return nil, err
	}
	if scanBacklog {
		err := p.findBacklog()
		p.waiting = append(p.waiting, p.resting.take(math.MaxInt64, func(string) int64 { return 0 })...) // another program may fare better
		return p, err
	}
	return p, nil
}

func (p *Partition) findPending() error {
	return p.Store.Scan([]byte{keyPending}, nil, func(k, v []byte) (bool, error) {
		doc := stream.Fingerprint(k[1:17])
		if _, due, node, isParked := readPendingEntry(v); isParked {
			p.resting.add(doc, rested{due: due, node: node})
		} else {
			p.waiting = append(p.waiting, doc)
		}
		return true, nil
	})
}

// warm reads as many headers as are cached: in order, which costs a fraction of looking each up.
func (p *Partition) warm() error {
	n := 0
	return p.Store.Scan([]byte{keyHeader}, nil, func(k, v []byte) (bool, error) {
		var h Header
		if err := stream.Unmarshal(v, &h); err != nil {
			return false, fmt.Errorf("read header %x of partition %d: %w", k, p.ID, err)
		}
		h.size = len(v)
		p.headers.put(h)
		n++
		return n < cacheHeaders, nil
	})
}

func (p *Partition) findBacklog() error {
	logic := p.config.Program.Logic()
	pending := map[stream.Fingerprint]bool{}
	for _, d := range p.waiting {
		pending[d] = true
	}
	return p.Store.Scan([]byte{keyHeader}, nil, func(k, v []byte) (bool, error) {
		var h Header
		if err := stream.Unmarshal(v, &h); err != nil {
			return false, fmt.Errorf("read header %x of partition %d: %w", k, p.ID, err)
		}
		d := stream.Fingerprint(k[1:17])
		if p.config.left(h.ID) || h.Logic != logic && !pending[d] && !p.resting.holds(d) && !h.Input.IsZero() {
			p.backlog = append(p.backlog, d)
		}
		return true, nil
	})
}

// Stats returns the counts of the committed state.
func (p *Partition) Stats() Stats {
	return p.stats.clone()
}

// Backlog returns how many documents still wait for re-evaluation under the current program.
func (p *Partition) Backlog() int { return len(p.backlog) }

// Backlog returns how many documents the partition's backlog has once the transaction is committed.
func (t *Tx) Backlog() int { return len(t.later) + len(t.p.backlog) - t.due }

// Busy reports whether evaluations run, wait or rest.
func (p *Partition) Busy() bool { return p.Working() || len(p.resting.by) > 0 }

// Working is Busy without documents that are parked.
func (p *Partition) Working() bool { return len(p.running)+len(p.waiting)+len(p.backlog) > 0 }

// Parked returns how many documents are parked and not due yet.
func (p *Partition) Parked() int { return len(p.resting.by) }

// PendingBytes returns the input bytes of running evaluations.
func (p *Partition) PendingBytes() (n int) {
	for _, e := range p.running {
		n += e.bytes
	}
	return n
}

// PassMarked returns the generation whose first full pass over the source was marked.
func (p *Partition) PassMarked() int64 { return p.pass }

// Close cancels running evaluations.
func (p *Partition) Close() {
	for _, e := range p.running {
		e.cancel()
	}
	p.running = nil
}

// header returns a document's committed header.
func (p *Partition) header(id string) (Header, bool, error) {
	if h, ok := p.headers.get(id); ok {
		return h, true, nil
	}
	v, ok, err := p.Store.Get(docKey(keyHeader, documentFingerprint(id)))
	if err != nil || !ok {
		return Header{ID: id}, false, err
	}
	var h Header
	if err := stream.Unmarshal(v, &h); err != nil {
		return h, false, fmt.Errorf("read header of document %s: %w", id, err)
	}
	h.size = len(v)
	h.Inline = nil // the cache keeps no inputs, and whoever wants one must not depend on what it has
	p.headers.put(h)
	return h, true, nil
}

// ReadInput returns a document's stored input.
func ReadInput(s Store, h Header) (stream.Value, error) {
	d := documentFingerprint(h.ID)
	if h.Parts == 0 && h.InputBytes > 0 && h.Inline == nil {
		var err error
		if h, _, err = FindDocument(s, h.ID); err != nil {
			return stream.Value{}, err
		}
	}
	if h.Inline != nil {
		return stream.DecodeValue(h.Inline)
	}
	if h.Parts == 0 {
		return stream.Value{}, nil
	}
	raw := make([]byte, 0, h.InputBytes)
	for i := range h.Parts {
		b, ok, err := s.Get(partKey(d, i))
		if err != nil || !ok {
			return stream.Value{}, fmt.Errorf("read input of document %s: part %d of %d: found %t: %w", h.ID, i+1, h.Parts, ok, err)
		}
		raw = append(raw, b...)
	}
	return stream.DecodeValue(raw)
}

// Documents visits the headers of a store, in no order that means anything.
func Documents(s Store, each func(Header) error) error {
	return s.Scan([]byte{keyHeader}, nil, func(k, v []byte) (bool, error) {
		var h Header
		if err := stream.Unmarshal(v, &h); err != nil {
			return false, fmt.Errorf("read header %x: %w", k, err)
		}
		return true, each(h)
	})
}

// FindDocument returns one document's header.
func FindDocument(s Store, id string) (Header, bool, error) {
	v, ok, err := s.Get(docKey(keyHeader, documentFingerprint(id)))
	if err != nil || !ok {
		return Header{}, false, err
	}
	var h Header
	return h, true, stream.Unmarshal(v, &h)
}

// RejectedRecords visits the records that could not be understood and name no document.
func RejectedRecords(s Store, each func(Rejected) error) error {
	return s.Scan([]byte{keyRejected}, nil, func(_, v []byte) (bool, error) {
		var r Rejected
		if err := stream.Unmarshal(v, &r); err != nil {
			return false, err
		}
		return true, each(r)
	})
}

// EmittedRows returns the identities of the rows that a document has in the rows topic, in order of (table, key).
func EmittedRows(s Store, id string) ([]stream.RowID, error) {
	h, known, err := FindDocument(s, id)
	if err != nil || !known {
		return nil, err
	}
	rows, err := emittedRows(s, &h)
	out := make([]stream.RowID, 0, len(rows))
	for _, r := range rows {
		out = append(out, stream.RowID{Table: r.Table, Document: id, Key: r.Key})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Table < out[j].Table || out[i].Table == out[j].Table && out[i].Key < out[j].Key
	})
	return out, err
}

func emittedRows(s Store, h *Header) ([]emittedRow, error) {
	if len(h.Few) == h.Rows {
		return h.Few, nil
	}
	out := make([]emittedRow, 0, h.Rows)
	err := s.Scan(docKey(keyRow, documentFingerprint(h.ID)), nil, func(_, v []byte) (bool, error) {
		var r emittedRow
		err := stream.Unmarshal(v, &r)
		out = append(out, r)
		return true, err
	})
	return out, err
}

// ReadStats returns the counts that a store holds. One to which nothing was written consists of nothing.
func ReadStats(s Store) (Stats, error) {
	var st Stats
	held, err := newOverlay(s).load([]byte{keyStats}, &st)
	if err == nil && !held {
		st.Contents = &Contents{}
	}
	return st, err
}
