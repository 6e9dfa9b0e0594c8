package flow

import (
	"errors"
	"fmt"
	"sort"
	"strconv"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/merge"
)

// keep evaluates the tables' conditions, each in the scope that it reads, and notes at every depth which elements a kept
// row may depend on.
func (e *evaluation) keep() error {
	e.kept = make([][][]bool, len(e.p.tables))
	for i, t := range e.p.tables {
		s := e.p.scopes[0]
		if !t.from.has(e.source) {
			e.kept[i] = e.keptAbove(s, []bool{false})
			continue
		}
		if t.where != nil {
			s = t.where.scope
		}
		kept := make([]bool, len(e.frames[s.index].elements))
		for j := range kept {
			var err error
			if kept[j], err = e.condition(t.where, s, j); err != nil {
				return err
			}
		}
		e.kept[i] = e.keptAbove(s, kept)
	}
	return nil
}

// keptAbove adds to the elements kept in s the enclosing elements of the outer scopes, by depth.
func (e *evaluation) keptAbove(s *scope, kept []bool) [][]bool {
	byDepth := make([][]bool, s.depth+1)
	for byDepth[s.depth] = kept; s.parent != nil; s = s.parent {
		outer := make([]bool, len(e.frames[s.parent.index].elements))
		for i, k := range byDepth[s.depth] {
			if k {
				outer[e.frames[s.index].parents[i]] = true
			}
		}
		byDepth[s.depth-1] = outer
	}
	return byDepth
}

// keeps reports whether a kept row of the table may depend on element i of s, which is on the path to the table's scope.
func (e *evaluation) keeps(table int, s *scope, i int) bool {
	kept := e.kept[table]
	for ; s.depth >= len(kept); s = s.parent {
		i = e.frames[s.index].parents[i]
	}
	return kept[s.depth][i]
}

func (e *evaluation) needed(s *step, i int) bool {
	for _, table := range e.p.feeds[s.index] {
		if e.keeps(table, s.scope, i) {
			return true
		}
	}
	return false
}

func (e *evaluation) rows() ([]stream.Row, error) {
	var rows []stream.Row
	for i, t := range e.p.tables {
		first := len(rows)
		for j := range e.frames[t.scope.index].elements {
			if !e.keeps(i, t.scope, j) {
				continue
			}
			row, err := e.row(t, j)
			if err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		own := rows[first:]
		sort.SliceStable(own, func(a, b int) bool { return own[a].Key < own[b].Key })
		if t.shared != nil {
			rows = append(rows[:first], t.merged(own)...)
		} else if err := t.distinct(own); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func (e *evaluation) row(t *table, i int) (row stream.Row, err error) {
	row = stream.Row{Table: t.name(), Columns: make([]stream.Value, len(t.columns))}
	if row.Key, err = e.key(t, i); err != nil {
		return row, err
	}
	for j, col := range t.columns {
		if row.Columns[j], err = e.eval(col.value, t.scope, i); err != nil {
			return row, err
		}
	}
	return row, nil
}

// key is the key of the row of element i of the table's scope; "" without a formula for it.
func (e *evaluation) key(t *table, i int) (string, error) {
	if t.key == nil {
		return "", nil
	}
	v, err := e.eval(t.key, t.scope, i)
	if err != nil {
		return "", err
	}
	if of, stands := v.StandsIn(); stands {
		e.ahead.unsure("what " + t.key.what + " says")
		return e.ahead.key(of), nil
	}
	return t.key.keyText(v)
}

// distinct refuses a key that a document has twice in sorted rows of one table.
func (t *table) distinct(rows []stream.Row) error {
	for i := 1; i < len(rows); i++ {
		if rows[i].Key == rows[i-1].Key {
			return stream.Errorf(stream.Invalid, "make rows of "+t.what(),
				"the key %q comes twice; make `key` unique within the document", rows[i].Key)
		}
	}
	return nil
}

// merged makes one row of those that a document has with one key: in a shared table they contribute to one anyway. rows are
// sorted by key, and among equal ones in order of their elements.
func (t *table) merged(rows []stream.Row) []stream.Row {
	out := rows[:0]
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Key == rows[0].Key {
			n++
		}
		row := rows[0]
		if n > 1 {
			contributions := make([][]stream.Value, n)
			for i := range contributions {
				contributions[i] = rows[i].Columns
			}
			row.Columns = merge.Columns(t.rules(), contributions)
		}
		out, rows = append(out, row), rows[n:]
	}
	return out
}

func (x *expression) keyText(v stream.Value) (string, error) {
	switch v.Kind() {
	case stream.String:
		return v.Str(), nil
	case stream.Int:
		return strconv.FormatInt(v.Int(), 10), nil
	}
	return "", x.failure(fmt.Errorf("a key must be a string or an int, not %s", v.Kind()))
}

// truth reads the result of a condition: null counts as false.
func (x *expression) truth(v stream.Value) (bool, error) {
	if v.IsNull() || v.Kind() == stream.Bool {
		return v.Bool(), nil
	}
	return false, x.failure(fmt.Errorf("a condition must be true or false, not %s", v.Kind()))
}

// failure is an error of this formula over some document, with its place in the flow file.
func (x *expression) failure(err error) error {
	kind := stream.Invalid
	var classed *stream.Error
	if errors.As(err, &classed) {
		kind = classed.Kind
	}
	at := x.text.at
	var f formula.Fault
	if errors.As(err, &f) {
		at, err = x.text.locate(f.Line, f.Column), errors.New(f.Message)
	}
	return &stream.Error{Op: "evaluate " + x.what + " at " + at.String(), Kind: kind, Err: err}
}

// wrap says what was being done when err came, and keeps its class.
func wrap(op string, err error) error {
	wrapped := &stream.Error{Op: op, Kind: stream.KindOf(err), Err: err}
	var inner *stream.Error
	if errors.As(err, &inner) {
		wrapped.RetryAfter = inner.RetryAfter
	}
	return wrapped
}

// ofDocument names the document in an evaluation's error.
func ofDocument(id string, err error) error {
	var e *stream.Error
	if errors.As(err, &e) {
		named := *e
		named.Doc = id
		return &named
	}
	return &stream.Error{Op: "evaluate", Doc: id, Kind: stream.Internal, Err: err}
}
