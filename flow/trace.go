package flow

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

// Trace is everything that one evaluation computed.
type Trace struct {
	Kept  bool // the source's `where` keeps the document
	Nodes []NodeTrace
	Rows  []stream.Row
}

// NodeTrace is what one node computed.
type NodeTrace struct {
	Node     string
	Operator string
	Element  string // name of the element that it has a value for each of; "" when it has one per document
	// Values are by element. A value is null where the node gave null or was not needed for any row that is kept.
	Values []stream.Value
	Ran    bool // false: the evaluation ended before it, by a failure or because the document is not kept, or is of a source that it doesn't run for
}

// Trace evaluates a document as Evaluate does, and returns what each node gave, in order of evaluation. With an error the
// trace holds what was computed before it.
func (p *Program) Trace(ctx context.Context, d stream.Document, calls stream.Calls) (Trace, error) {
	e := p.newEvaluation(d, calls)
	rows, err := e.all(ctx)
	t := Trace{Rows: rows, Kept: err != nil || e.kept != nil}
	for _, s := range p.steps {
		n := NodeTrace{Node: s.name.ident, Operator: s.op, Values: e.values[s.index], Ran: e.values[s.index] != nil && s.from.has(e.source)}
		if s.scope.element != nil {
			n.Element = s.scope.element.ident
		}
		t.Nodes = append(t.Nodes, n)
	}
	if err != nil {
		return t, ofDocument(d.ID, err)
	}
	return t, nil
}
