package flow

import (
	"context"
	"maps"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// outlook is what an evaluation that foresees another keeps of what it can't know.
type outlook struct {
	unknown map[string]bool // what can't be told at all
	keys    map[string]bool // rows' keys that only stand for others
}

// Foresee evaluates a document as Evaluate does, through calls that may return stand-ins (stream.StandIn) for results that they don't have. A formula
// that reads one gives one; equal ones of one node are of equal inputs, so that what would be called is called here as often.
func (p *Program) Foresee(ctx context.Context, d stream.Document, calls stream.Calls) (stream.Foreseen, error) {
	ahead := &outlook{unknown: map[string]bool{}, keys: map[string]bool{}}
	foresee := func(p *Program) ([]stream.Row, error) {
		e := p.newEvaluation(d, calls)
		e.ahead = ahead
		return e.all(ctx)
	}
	rows, err := foresee(p)
	if err == nil {
		rows, err = p.besides(rows, foresee)
	}
	if err != nil {
		return stream.Foreseen{}, ofDocument(d.ID, err)
	}
	out := stream.Foreseen{Rows: rows, Known: make([]bool, len(rows)), Unsure: slices.Sorted(maps.Keys(ahead.unknown))}
	for i, r := range rows {
		out.Known[i] = !ahead.keys[r.Key] && !slices.ContainsFunc(r.Columns, func(v stream.Value) bool { return v.Kind() == stream.Dynamic })
	}
	return out, nil
}

func (o *outlook) unsure(what string) { o.unknown[what] = true }

// key is the text of a key that is a stand-in.
func (o *outlook) key(of stream.Fingerprint) string {
	text := of.String()
	o.keys[text] = true
	return text
}

// hangs reports whether a formula reads a stand-in.
func (e *evaluation) hangs(x *expression, s *scope, i int) bool {
	return slices.ContainsFunc(x.reads, func(n *name) bool { return e.value(n.ident, s, i).Kind() == stream.Dynamic })
}

// standIn is what a formula gives that reads stand-ins: for the same formula over the same values the same, and what is passed
// on as it is stays itself.
func (e *evaluation) standIn(x *expression, s *scope, i int) stream.Value {
	if ident, plain := x.formula.Variable(); plain {
		if v := e.value(ident, s, i); len(x.formula.Refs()[0].Path) == 0 {
			return v
		}
	}
	parts := []stream.Value{text("stand-in"), x.canonical(e.p.names)}
	for _, n := range x.reads {
		v := e.value(n.ident, s, i)
		if of, stands := v.StandsIn(); stands {
			v = stream.ListOf(finger(of))
		}
		parts = append(parts, v)
	}
	return stream.StandIn(digest(parts...))
}
