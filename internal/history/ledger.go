package history

import (
	"context"
	"errors"
	"sync"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Inputs counts inputs of costly nodes, such as the texts that a model embeds.
type Inputs struct {
	Changed int64 `json:"changed"` // of the changed documents: what evaluating each changed file anew computes
	Live    int64 `json:"live"`    // of all documents after the commit: what building everything anew computes
	Unheld  int64 `json:"unheld"`  // distinct ones that no live document held before the commit
	Unseen  int64 `json:"unseen"`  // of these, the ones that no document ever held
}

func (i *Inputs) add(o Inputs) {
	i.Changed += o.Changed
	i.Live += o.Live
	i.Unheld += o.Unheld
	i.Unseen += o.Unseen
}

// Ledger counts, without the engine, what a commit must compute: it evaluates each changed document with the program,
// calls cheap operators only, and remembers which inputs of costly nodes live documents hold. A costly node's output
// is null to it, so that nodes fed by one are not counted. Not for concurrent use.
type Ledger struct {
	program stream.Program
	decoder stream.Decoder
	source  string
	held    map[string][]stream.Fingerprint // by document
	users   map[stream.Fingerprint]int      // documents that hold an input, each as often as it does
	seen    map[stream.Fingerprint]bool
	costly  map[string]bool
	live    int64
}

// NewLedger returns an empty ledger of a source.
func NewLedger(p stream.Program, d stream.Decoder, source string) *Ledger {
	return &Ledger{program: p, decoder: d, source: source, held: map[string][]stream.Fingerprint{},
		users: map[stream.Fingerprint]int{}, seen: map[stream.Fingerprint]bool{}, costly: map[string]bool{}}
}

// Commit enters the records of one commit. A document that can't be evaluated keeps what it held, as its rows stay.
func (l *Ledger) Commit(ctx context.Context, records []stream.Record) (Inputs, error) {
	now := map[string][]stream.Fingerprint{}
	var count Inputs
	for i := range records {
		document, inputs, ok, err := l.inputs(ctx, &records[i])
		if err != nil {
			return count, err
		}
		if ok {
			now[document] = inputs
			count.Changed += int64(len(inputs))
		}
	}
	fresh := map[stream.Fingerprint]bool{}
	for _, inputs := range now {
		for _, in := range inputs {
			if l.users[in] == 0 && !fresh[in] {
				fresh[in] = true
				count.Unheld++
				if !l.seen[in] {
					count.Unseen++
				}
			}
		}
	}
	for document, inputs := range now {
		l.replace(document, inputs)
	}
	count.Live = l.live
	return count, nil
}

func (l *Ledger) replace(document string, inputs []stream.Fingerprint) {
	for _, in := range inputs {
		l.users[in]++
		l.seen[in] = true
	}
	for _, in := range l.held[document] {
		if l.users[in]--; l.users[in] == 0 {
			delete(l.users, in)
		}
	}
	l.live += int64(len(inputs) - len(l.held[document]))
	l.held[document] = inputs
}

// inputs returns what the record's document holds from now on; ok is false when it keeps what it held.
func (l *Ledger) inputs(ctx context.Context, r *stream.Record) (document string, inputs []stream.Fingerprint, ok bool, err error) {
	change, err := l.decoder.Decode(r)
	if refused(err) {
		return change.Document, nil, false, nil
	}
	if err != nil || change.Op == stream.Delete {
		return change.Document, nil, err == nil, err
	}
	fields, _, err := l.decoder.Fields(&change)
	if err != nil {
		return change.Document, nil, false, ignoring(err)
	}
	c := &cheap{}
	_, err = l.program.Evaluate(ctx, stream.Document{ID: change.Document, Source: l.source, Input: fields}, c)
	for _, n := range c.nodes {
		l.costly[n] = true
	}
	return change.Document, c.inputs, err == nil, ignoring(err)
}

// Computed adds up what costly nodes computed.
func (l *Ledger) Computed(nodes map[string]engine.NodeCount) (n int64) {
	for node, count := range nodes {
		if l.costly[node] {
			n += count.Computed
		}
	}
	return n
}

// refused reports whether err concerns the document alone, which is then quarantined.
func refused(err error) bool { return err != nil && stream.KindOf(err) == stream.Invalid }

func ignoring(err error) error {
	if refused(err) {
		return nil
	}
	return err
}

// cheap runs cheap operators and notes the inputs of costly ones. It implements stream.Calls.
type cheap struct {
	mu     sync.Mutex
	inputs []stream.Fingerprint
	nodes  []string
}

// Computed implements stream.Calls.
func (*cheap) Computed(string, int) {}

// Call implements stream.Calls.
func (c *cheap) Call(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	out := make([]stream.Value, len(inputs))
	var given []stream.Value
	var at []int
	for i, in := range inputs {
		if !in.IsNull() {
			given, at = append(given, in), append(at, i)
		}
	}
	if n.Costly {
		c.note(n, given)
		return out, nil
	}
	got, err := n.Operator.Apply(ctx, given)
	var some *stream.BatchError
	if errors.As(err, &some) {
		return nil, stream.Errorf(stream.Invalid, "run node "+n.Name, "%w", err)
	}
	if err != nil {
		return nil, err
	}
	for i, v := range got {
		out[at[i]] = v
	}
	return out, nil
}

func (c *cheap) note(n *stream.Node, inputs []stream.Value) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes = append(c.nodes, n.Name)
	for _, in := range inputs {
		c.inputs = append(c.inputs, n.MemoKey(in))
	}
}
