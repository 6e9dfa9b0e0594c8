package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// Foreseer is a program that can evaluate a document through calls that have stand-ins for some results.
type Foreseer interface {
	stream.Program
	Foresee(ctx context.Context, d stream.Document, calls stream.Calls) (stream.Foreseen, error)
}

// Forecast is what evaluating documents under another program would come to. Element counts are exact where Unsure is empty.
type Forecast struct {
	Documents int64                    // to be evaluated
	Refused   int64                    // of them, those that would be quarantined
	Deleted   int64                    // of sources that the program no longer has: deleted, not evaluated
	Nodes     map[string]NodeForecast  // by node
	Tables    map[string]TableForecast // by table, those that the program no longer has too
	Unsure    map[string]int64         // what can't be told, with the number of documents
}

// NodeForecast counts elements of one node.
type NodeForecast struct {
	Computed int64   // inputs that the operator would be called with, or evaluations of a formula
	Reused   int64   // results that are held, or come with those that are computed
	Costly   bool    // its results are memos
	Calls    int64   // of a costly operator, at least
	Sized    int64   // of those computed, inputs that are known already
	Size     int64   // of these, as measured
	Price    float64 // of a million units of size; 0: not declared
	Rate     float64 // most calls a second, of all nodes that share it; 0: not declared
}

// TableForecast counts rows of one table.
type TableForecast struct {
	Added, Rewritten, Removed, Same int64
	Recomputed                      int64 // rewritten unless what is computed for them turns out as it was
}

// Measure says how large a costly operator's input is, e.g. in tokens.
type Measure func(n *stream.Node, input stream.Value) (int64, error)

// Foresee tells what the documents of stores, one for each partition, would come to under program: those that another one evaluated, and
// those that wait, and those of sources that it does not have. It calls no costly operator, and changes nothing.
func Foresee(ctx context.Context, program Foreseer, stores []Store, measure Measure) (Forecast, error) {
	f := newForecaster(program, stores, measure)
	for _, s := range stores {
		f.own = s
		err := Documents(s, func(h Header) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return f.document(ctx, h)
		})
		if err != nil {
			return Forecast{}, err
		}
	}
	return f.forecast(), nil
}

func newForecaster(program Foreseer, stores []Store, measure Measure) *forecaster {
	return &forecaster{program: program, columns: columnsOf(program.Tables()), stores: stores, measure: measure, computed: map[stream.Fingerprint]bool{}, costly: map[*stream.Node]bool{},
		out: Forecast{Nodes: map[string]NodeForecast{}, Tables: map[string]TableForecast{}, Unsure: map[string]int64{}}}
}

// forecast is what the documents so far come to.
func (f *forecaster) forecast() Forecast {
	for n := range f.costly {
		sum := f.out.Nodes[n.Name]
		sum.Costly, sum.Price, sum.Rate, sum.Calls = true, n.Price, n.Rate, (sum.Computed+batchSize(n)-1)/batchSize(n)
		f.out.Nodes[n.Name] = sum
	}
	return f.out
}

// Recalled returns calls for evaluating a document as Foresee does, beside what the flow does: cheap operators run, and of costly ones the results are
// used that own, the state of the document's partition, holds.
func Recalled(own Store) stream.Calls {
	return &forecaster{stores: []Store{own}, own: own, measure: func(*stream.Node, stream.Value) (int64, error) { return 0, nil },
		computed: map[stream.Fingerprint]bool{}, costly: map[*stream.Node]bool{}, out: Forecast{Nodes: map[string]NodeForecast{}}}
}

// forecaster foresees one document after the other. It is what their evaluations call operators through (stream.Calls).
type forecaster struct {
	program Foreseer
	columns map[string]stream.Fingerprint // their names, by table
	stores  []Store
	own     Store // of the document's partition
	measure Measure

	mu       sync.Mutex                  // guards what follows: nodes that don't read each other call at the same time
	computed map[stream.Fingerprint]bool // memo keys that are counted as computed
	costly   map[*stream.Node]bool       // those that were met
	out      Forecast
}

func (f *forecaster) document(ctx context.Context, h Header) error {
	held, err := emittedRows(f.own, &h)
	if err != nil {
		return err
	}
	if leaves(f.program, h.ID) {
		f.out.Deleted++
		f.rows(held, stream.Foreseen{})
		return nil
	}
	if h.Input.IsZero() || h.Logic == f.program.Logic() && h.Status != Pending {
		for _, r := range held {
			f.table(r.Table, TableForecast{Same: 1})
		}
		return nil
	}
	input, err := ReadInput(f.own, h)
	if err != nil {
		return err
	}
	f.out.Documents++
	seen, err := f.program.Foresee(ctx, stream.Document{ID: h.ID, Source: sourceOf(h.ID), Input: input}, f)
	switch {
	case stream.KindOf(err) == stream.Invalid:
		f.out.Refused++ // it keeps its rows
		return nil
	case err != nil:
		return fmt.Errorf("foresee document %s: %w", h.ID, err)
	}
	for _, what := range seen.Unsure {
		f.out.Unsure[what]++
	}
	f.rows(held, seen)
	return nil
}

// rows compares the rows that a document has with those that it would have.
func (f *forecaster) rows(held []emittedRow, seen stream.Foreseen) {
	before := finder(held)
	kept := map[int]bool{}
	for i, r := range seen.Rows {
		j := before(emittedRow{Table: r.Table, Key: r.Key})
		switch {
		case j < 0:
			f.table(r.Table, TableForecast{Added: 1})
			continue
		case !seen.Known[i]:
			f.table(r.Table, TableForecast{Recomputed: 1})
		case held[j].Fingerprint == versionOf(f.columns[r.Table], r.Fingerprint()):
			f.table(r.Table, TableForecast{Same: 1})
		default:
			f.table(r.Table, TableForecast{Rewritten: 1})
		}
		kept[j] = true
	}
	for j, r := range held {
		if !kept[j] {
			f.table(r.Table, TableForecast{Removed: 1})
		}
	}
}

func (f *forecaster) table(name string, n TableForecast) {
	sum := f.out.Tables[name]
	f.out.Tables[name] = TableForecast{Added: sum.Added + n.Added, Rewritten: sum.Rewritten + n.Rewritten, Removed: sum.Removed + n.Removed,
		Same: sum.Same + n.Same, Recomputed: sum.Recomputed + n.Recomputed}
}

// Computed implements stream.Calls.
func (f *forecaster) Computed(node string, n int) { f.count(node, NodeForecast{Computed: int64(n)}) }

func (f *forecaster) count(node string, n NodeForecast) {
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := f.out.Nodes[node]
	f.out.Nodes[node] = NodeForecast{Computed: sum.Computed + n.Computed, Reused: sum.Reused + n.Reused, Sized: sum.Sized + n.Sized, Size: sum.Size + n.Size}
}

// Call implements stream.Calls: cheap operators run, of costly ones the results that are held are used.
func (f *forecaster) Call(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	if !n.Costly {
		return f.direct(ctx, n, inputs)
	}
	f.mu.Lock()
	f.costly[n] = true
	f.mu.Unlock()
	out := make([]stream.Value, len(inputs))
	for i, in := range inputs {
		if in.IsNull() {
			continue
		}
		key, given := memoOf(n, in)
		v, held, err := stream.Value{}, false, error(nil)
		if given {
			v, held, err = f.memo(key)
		}
		switch {
		case err != nil:
			return nil, err
		case held:
			f.count(n.Name, NodeForecast{Reused: 1})
		default:
			v = stream.StandIn(key)
			if err := f.cost(n, key, in, given); err != nil {
				return nil, err
			}
		}
		out[i] = v
	}
	return out, nil
}

// memoOf is Node.MemoKey, also of an input that is a stand-in (given is false).
func memoOf(n *stream.Node, in stream.Value) (_ stream.Fingerprint, given bool) {
	of, stands := in.StandsIn()
	if !stands {
		return n.MemoKey(in), true
	}
	return stream.FingerprintBytes(slices.Concat([]byte("stand-in"), n.Memo[:], of[:])), false
}

// cost counts an element of a costly node whose result nobody has: the first with its input is computed.
func (f *forecaster) cost(n *stream.Node, key stream.Fingerprint, in stream.Value, given bool) error {
	f.mu.Lock()
	again := f.computed[key]
	f.computed[key] = true
	f.mu.Unlock()
	switch {
	case again:
		f.count(n.Name, NodeForecast{Reused: 1})
	case given:
		size, err := f.measure(n, in)
		if err != nil {
			return &stream.Error{Op: "measure an input of node " + n.Name, Kind: stream.Invalid, Err: err}
		}
		f.count(n.Name, NodeForecast{Computed: 1, Sized: 1, Size: size})
	default:
		f.count(n.Name, NodeForecast{Computed: 1})
	}
	return nil
}

// direct runs a cheap operator on the inputs that are there, and stands something in for its results of the others.
func (f *forecaster) direct(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	given := make([]stream.Value, len(inputs)) // null where a stand-in is
	out := make([]stream.Value, len(inputs))
	waiting := int64(0)
	for i, in := range inputs {
		if _, stands := in.StandsIn(); !stands {
			given[i] = in
			continue
		}
		key, _ := memoOf(n, in)
		out[i] = stream.StandIn(key)
		waiting++
	}
	got, computed, err := applyTo(ctx, n, given)
	if err != nil {
		return nil, err
	}
	f.count(n.Name, NodeForecast{Computed: computed + waiting})
	for i, v := range got {
		if !given[i].IsNull() {
			out[i] = v
		}
	}
	return out, nil
}

// memo looks a result up in all partitions, the document's own first, as evaluations do: one that is past its retention and not collected
// yet counts as held, as it would be used.
func (f *forecaster) memo(key stream.Fingerprint) (stream.Value, bool, error) {
	if v, ok, err := read(f.own, key); err != nil || ok {
		return v, ok, err
	}
	for _, s := range f.stores {
		if s == f.own {
			continue
		}
		if v, ok, err := read(s, key); err != nil || ok {
			return v, ok, err
		}
	}
	return stream.Value{}, false, nil
}
