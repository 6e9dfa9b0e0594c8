package engine_test

import (
	"context"
	"fmt"
	"maps"
	"sort"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

const maxRecord = 600

// scene is a process with partitions, driven like stream/kafka drives them, inside a bubble of virtual time. What
// outlives the process: stores, the committed entries, and the rows that the records say.
type scene struct {
	ctx     context.Context
	cancel  context.CancelFunc
	op      *shouter
	decoder stream.Decoder
	program *book
	events  engine.Events
	ev      *engine.Evaluator
	totals  *engine.Totals
	parts   map[int32]*part
	now     int64
	clock   bool // the engine reads the bubble's clock; else each look at it is a tick
	budget  time.Duration
	ran     []string // every durable step: rows and entries of the last commit

	retention time.Duration // of memos; 0: for ever
	sweep     int           // use records that a transaction looks at; 0: it collects nothing

	attempts int // see engine.Config
	random   func() float64
	mended   *atomic.Bool             // words that failed do so no more
	told     map[stream.ErrorKind]int // by class, what was told of failures

	retries []string // documents that transactions retry, and what came of it
	retried []engine.Retried
	drops   []string // documents that they give up, with what was rejected; which of them could be
	dropped []bool
	forget  string       // the document that transactions forget; "": none
	forgets []forgetting // those that were committed
}

// forgetting is a document that was forgotten once so many records were read.
type forgetting struct {
	key string
	at  int64
}

type part struct {
	id      int32
	store   *statestore.Memory
	engine  *engine.Partition
	release func()
	log     []stream.StateEntry
	rows    map[stream.RowID]string
	next    int64 // offset of the next record
	changes int64 // folded and committed, other kinds left out
	counts  engine.Counts
	unsized bool // a build wrote of it that did not say how large memos are
}

func newScene() *scene {
	op := newShouter()
	s := &scene{op: op, decoder: notes{}, program: newBook(1, op), parts: map[int32]*part{}, now: 1, budget: time.Second}
	return s
}

// start begins the process; partitions open when they are first named.
func (s *scene) start() {
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.totals = &engine.Totals{}
	s.ev = engine.NewEvaluator(s.ctx, s.program, s.totals, s.events)
}

// stop ends the process and waits for its goroutines.
func (s *scene) stop() {
	s.cancel()
	for _, p := range s.parts {
		if p.engine != nil {
			p.engine.Close()
			p.release()
			p.engine = nil
		}
	}
	s.ev.Wait()
}

// restart is a crash: what was not committed is gone.
func (s *scene) restart(reevaluate bool) error {
	s.stop()
	s.start()
	for _, id := range ids(s.parts) {
		if err := s.open(s.parts[id], reevaluate); err != nil {
			return err
		}
	}
	return nil
}

func ids(parts map[int32]*part) []int32 {
	out := make([]int32, 0, len(parts))
	for id := range parts {
		out = append(out, id)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

func (s *scene) part(id int32) (*part, error) {
	if p := s.parts[id]; p != nil {
		return p, nil
	}
	p := &part{id: id, store: statestore.NewMemory(), rows: map[stream.RowID]string{}}
	s.parts[id] = p
	return p, s.open(p, false)
}

func (s *scene) open(p *part, reevaluate bool) (err error) {
	p.engine, err = engine.OpenPartition(p.id, p.store, s.config(), reevaluate)
	p.release = s.ev.Hold(p.id, p.store)
	return err
}

func (s *scene) config() engine.Config {
	return engine.Config{Program: s.program, Source: "book", Decoder: s.decoder, MaxRecord: maxRecord, MemoRetention: s.retention,
		Attempts: s.attempts, Random: s.random, Now: func() int64 { s.now++; return s.clockNow() }}
}

// clockNow is what the scene's clock shows.
func (s *scene) clockNow() int64 {
	if s.clock {
		return time.Now().UnixNano() + s.now
	}
	return s.now
}

// record is the next record of the partition; text as notes reads it, "-" for a delete.
func (p *part) record(i int, key, text string) *stream.Record {
	r := &stream.Record{Topic: "book", Partition: p.id, Offset: p.next + int64(i), Timestamp: time.Unix(100+p.next+int64(i), 0),
		Key: []byte(key), Value: []byte(text), Headers: []stream.Header{{Key: "lang", Value: []byte("en")}}}
	if text == "-" {
		r.Value = nil
	}
	return r
}

// write is one record to be: document key and text.
type write struct{ key, text string }

// begin folds the writes and evaluates within the budget.
func (s *scene) begin(p *part, writes []write, backlog int) (*engine.Tx, error) {
	if err := p.engine.Resume(s.ctx, s.ev, 1<<20); err != nil {
		return nil, err
	}
	found, err := false, error(nil)
	if s.sweep > 0 {
		found, err = p.engine.Sweep(s.sweep)
	}
	if err != nil {
		return nil, err
	}
	tx := p.engine.Begin()
	if found {
		tx.Collect()
	}
	for i, w := range writes {
		if err := tx.Fold(p.record(i, w.key, w.text)); err != nil {
			return nil, err
		}
	}
	if s.forget != "" {
		tx.Purge()
		if _, err := tx.Forget("book/" + s.forget); err != nil {
			return nil, err
		}
	}
	if err := s.drop(tx); err != nil {
		return nil, err
	}
	if err := tx.Reevaluate(s.ctx, s.ev, backlog); err != nil {
		return nil, err
	}
	if err := tx.Settle(s.ctx, s.ev); err != nil {
		return nil, err
	}
	s.retried = nil
	for _, id := range s.retries {
		r, err := tx.Retry(id)
		if err != nil {
			return nil, err
		}
		s.retried = append(s.retried, r)
	}
	s.await(p, tx)
	return tx, tx.Failure()
}

// drop gives up the documents of drops that are quarantined, and the record that was rejected.
func (s *scene) drop(tx *engine.Tx) error {
	s.dropped = nil
	for _, id := range s.drops {
		_, quarantined, err := tx.Droppable(id)
		if err == nil && quarantined {
			_, err = tx.Forget(id)
		}
		if err != nil {
			return err
		}
		s.dropped = append(s.dropped, quarantined)
	}
	if len(s.drops) == 0 {
		return nil
	}
	return engine.RejectedRecords(s.parts[0].store, func(r engine.Rejected) error {
		_, err := tx.DropRejected(r.Position)
		return err
	})
}

func (s *scene) await(p *part, tx *engine.Tx) {
	budget := time.NewTimer(s.budget)
	defer budget.Stop()
	for {
		synctest.Wait() // what can finish without time passing has finished
		for _, ev := range s.ev.Finished() {
			if ev.Partition == p.id {
				tx.Take(ev)
			}
		}
		if tx.Open() == 0 {
			return
		}
		select {
		case <-s.ev.Wake():
		case <-budget.C:
			return
		}
	}
}

// commit does one whole transaction.
func (s *scene) commit(p *part, writes []write, backlog int) (*engine.Output, error) {
	tx, err := s.begin(p, writes, backlog)
	if err != nil {
		return nil, err
	}
	out, err := tx.Finish()
	if err != nil {
		return nil, err
	}
	if err := p.materialise(out); err != nil {
		return out, err
	}
	p.log = append(p.log, out.Entries...)
	if err := p.store.Apply(out.Entries, stream.Checkpoint{Applied: int64(len(p.log)), Format: engine.FormatVersion}); err != nil {
		return out, err
	}
	tx.Commit()
	s.totals.Add(out.Counts)
	p.counts.Add(out.Counts)
	p.next += int64(len(writes))
	s.ev.Drop(tx.Collected())
	if s.forget != "" {
		s.forgets = append(s.forgets, forgetting{s.forget, p.next})
		memos, _ := tx.Purged()
		s.ev.Drop(memos)
	}
	return out, s.check(p)
}

// abort does the work of a transaction and drops it.
func (s *scene) abort(p *part, writes []write, backlog bool) error {
	n := 0
	if backlog {
		n = 16
	}
	tx, err := s.begin(p, writes, n)
	if err != nil {
		return err
	}
	if _, err = tx.Finish(); err == nil {
		tx.Abort(s.ev)
	}
	return err
}

// drain commits without records until nothing runs or waits; at most n times.
func (s *scene) drain(p *part, n int) error {
	for range n {
		if !p.engine.Busy() {
			return nil
		}
		select {
		case <-s.ev.Wake():
		case <-time.After(s.budget):
		}
		if _, err := s.commit(p, nil, 16); err != nil {
			return err
		}
	}
	return fmt.Errorf("still busy after %d transactions: %+v", n, p.engine.Stats())
}

// materialise applies row records as a sink does, and checks that they come in whole, ordered units.
func (p *part) materialise(out *engine.Output) error {
	tables := map[string]stream.Table{}
	for _, t := range newBook(1, nil).Tables() {
		tables[t.Name] = t
	}
	doc, last, open, units := "", "", 0, map[string]bool{}
	for i := range out.Rows {
		w, at, n, err := schemas.DecodeRow(&out.Rows[i], tables)
		if err != nil {
			return err
		}
		place := w.Table + "\x00" + w.Key
		switch {
		case at == 1 && open == 0 && !units[w.Document]:
			doc, open, units[w.Document] = w.Document, n, true
		case at == 1 || w.Document != doc || at != n-open+1 || place <= last:
			return fmt.Errorf("row %s of %s is %d of %d where %d of unit %s are missing", w.Key, w.Document, at, n, open, doc)
		}
		last, open = place, open-1
		if w.Delete {
			if _, held := p.rows[w.RowID]; !held {
				return fmt.Errorf("row %v is deleted, but was never written", w.RowID)
			}
			delete(p.rows, w.RowID)
			continue
		}
		text := w.Columns[0].String()
		p.rows[w.RowID] = text
	}
	if open != 0 {
		return fmt.Errorf("unit of %s ends %d rows early", doc, open)
	}
	return nil
}

// table lists the materialised rows of a document, in order.
func (p *part) table(doc string) string {
	var out []string
	for id, text := range p.rows {
		if id.Document == doc {
			out = append(out, strings.TrimSpace(id.Table+" "+id.Key)+"="+text)
		}
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// documents returns the headers by document ID.
func (p *part) documents() (map[string]engine.Header, error) {
	out := map[string]engine.Header{}
	err := engine.Documents(p.store, func(h engine.Header) error { out[h.ID] = h; return nil })
	return out, err
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range maps.Keys(m) {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
