package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// maxSample bounds a sample: all of it lies in memory.
const maxSample = 1000

// sampled is what `plan --sample` found.
type sampled struct {
	Of        int                      `json:"of"`    // documents that it was chosen from
	Nodes     map[string]plannedNode   `json:"nodes"` // what it was said to cost
	Documents []sampledDocument        `json:"documents"`
	Tables    map[string]sampledTable  `json:"tables"`
	Vectors   map[string]sampledVector `json:"vectors"` // by TABLE.COLUMN
}

// sampledDocument says what changes of a document's rows.
type sampledDocument struct {
	Document string         `json:"document"`
	Refused  string         `json:"refused,omitempty"` // why it would be quarantined; it keeps its rows
	Moved    bool           `json:"moved,omitempty"`   // a row is compared with what was written of it since the state was read
	Same     map[string]int `json:"same"`              // rows that stay as they are, by table
	Rows     []sampledRow   `json:"rows"`              // those that do not, in order of (table, key)
}

// Changes of a row.
const (
	rowAdded   = "added"
	rowChanged = "changed"
	rowRemoved = "removed"
)

type sampledRow struct {
	Table   string                   `json:"table"`
	Key     string                   `json:"key"`
	Change  string                   `json:"change"`
	Columns map[string]sampledColumn `json:"columns"` // of a changed row, those that differ
}

// sampledColumn is a value before and after; nil: the row has no such column.
type sampledColumn struct {
	Old    *control.Value `json:"old,omitempty"`
	New    *control.Value `json:"new,omitempty"`
	Diff   string         `json:"diff,omitempty"`   // of texts, line by line
	Cosine *float64       `json:"cosine,omitempty"` // of vectors that can be compared
}

type sampledTable struct {
	Same    int `json:"same"`
	Changed int `json:"changed"`
	Added   int `json:"added"`
	Removed int `json:"removed"`
}

// sampledVector sums up the vectors of a column that differ and can be compared.
type sampledVector struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	Least float64 `json:"least"`
}

// sample evaluates some of the documents that the flow file changes, and compares their rows with those that the rows topic has of them.
func (a *app) sample(ctx context.Context, held stateCopy, o planOptions) (*sampled, error) {
	chosen, err := engine.Choose(ctx, a.flow.Program, held.byPartition(), o.sample)
	if err != nil || chosen.Of == 0 {
		return nil, err
	}
	f, err := chosen.Foresee(ctx, tokens())
	if err != nil {
		return nil, err
	}
	s := &sampled{Of: chosen.Of, Nodes: plannedNodes(f), Documents: []sampledDocument{}, Tables: map[string]sampledTable{}, Vectors: map[string]sampledVector{}}
	if !agreedTo(s.Nodes, min(o.sample, s.Of), s.Of, o) {
		return nil, usagef("no sample was taken; to take it, answer yes, or say --yes")
	}
	evaluated, err := evaluateSample(ctx, chosen)
	if err != nil {
		return nil, fmt.Errorf("no sample was taken: %w", err)
	}
	rows, err := a.rowsOf(ctx, evaluated, int32(len(held.stores)))
	if err != nil {
		return nil, err
	}
	tables := tablesByName(a.flow.Program.Tables())
	for _, e := range evaluated {
		s.add(compareDocument(e, rows, tables))
	}
	return s, nil
}

// agreedTo says which models the sample asks, and asks whether it may where it asks any.
func agreedTo(nodes map[string]plannedNode, n, of int, o planOptions) bool {
	var costs []string
	for _, name := range sortedKeys(nodes) {
		if text := nodes[name].cost(); text != "" {
			costs = append(costs, fmt.Sprintf("  %s: %s\n", name, text))
		}
	}
	if len(costs) == 0 {
		return true
	}
	fmt.Fprintf(o.apart, "the sample of %d documents, of %d, calls models, for results that are not kept:\n%s", n, of, strings.Join(costs, ""))
	if o.yes {
		return true
	}
	fmt.Fprint(o.apart, "Type yes to go on: ")
	return answered(o.in, "yes")
}

// outOfReach is the pause between attempts from which on a node is given up: after about a second. A busy one is waited for.
const outOfReach = time.Second

// evaluateSample evaluates the documents, and gives up when a node can't be run.
func evaluateSample(ctx context.Context, chosen *engine.Sample) ([]engine.Sampled, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	evaluated, err := chosen.Evaluate(ctx, kafka.MaxRecord, engine.Events{Retrying: func(node string, err error, wait time.Duration) {
		kind := stream.KindOf(err)
		if kind == stream.Unauthorised || kind != stream.Throttled && wait >= outOfReach {
			giveUp(fmt.Errorf("node %s can't be run: %w", node, err))
		}
	}})
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return evaluated, err
}

// wroteRow is a row as the rows topic has it.
type wroteRow struct {
	columns []stream.Entry
	current bool // it is of the version that the state says
}

// rowsOf reads the rows that the documents have. A document may have changed since the state was read: of each row the record counts that the
// state speaks of, and where that is gone the last one.
func (a *app) rowsOf(ctx context.Context, documents []engine.Sampled, partitions int32) (map[stream.RowID]wroteRow, error) {
	at, versions := map[string]int32{}, map[stream.RowID]stream.Fingerprint{}
	for _, d := range documents {
		for _, r := range d.Held {
			at[d.Document] = d.Partition
			versions[stream.RowID{Table: r.Table, Document: d.Document, Key: r.Key}] = r.Fingerprint
		}
	}
	rows := map[stream.RowID]wroteRow{}
	if len(at) == 0 {
		return rows, nil
	}
	return rows, a.cluster.RowRecords(ctx, a.flow.Name, partitions, at, func(r *stream.Record) error {
		w, names, err := schemas.DecodeColumns(r)
		if err != nil {
			return err
		}
		version, meant := versions[w.RowID]
		if !meant || w.Delete {
			return nil
		}
		row := stream.Row{Table: w.Table, Key: w.Key, Columns: w.Columns}
		current := engine.RowVersion(names, row) == version || row.Fingerprint() == version // earlier builds noted no names
		if rows[w.RowID].current && !current {
			return nil
		}
		rows[w.RowID] = wroteRow{entriesOf(names, w.Columns), current}
		return nil
	})
}

func entriesOf(names []string, values []stream.Value) (out []stream.Entry) {
	for i, name := range names {
		out = append(out, stream.Entry{Key: name, Value: values[i]})
	}
	return out
}

func tablesByName(tables []stream.Table) map[string]stream.Table {
	out := map[string]stream.Table{}
	for _, t := range tables {
		out[t.Name] = t
	}
	return out
}

// add counts a document in.
func (s *sampled) add(d sampledDocument) {
	s.Documents = append(s.Documents, d)
	for table, n := range d.Same {
		t := s.Tables[table]
		t.Same += n
		s.Tables[table] = t
	}
	for _, r := range d.Rows {
		t := s.Tables[r.Table]
		switch r.Change {
		case rowAdded:
			t.Added++
		case rowRemoved:
			t.Removed++
		default:
			t.Changed++
		}
		s.Tables[r.Table] = t
		for name, c := range r.Columns {
			if c.Cosine != nil {
				key := r.Table + "." + name
				s.Vectors[key] = s.Vectors[key].and(*c.Cosine)
			}
		}
	}
}

func (v sampledVector) and(cosine float64) sampledVector {
	if v.Count == 0 {
		v.Least = cosine
	}
	return sampledVector{v.Count + 1, (v.Mean*float64(v.Count) + cosine) / float64(v.Count+1), min(v.Least, cosine)}
}

func (s *sampled) print(out io.Writer) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "sample of %d documents, of %d\n", len(s.Documents), s.Of)
	for _, d := range s.Documents {
		d.print(&b)
	}
	s.sum(&b)
	_, _ = b.WriteTo(out) // as every print to out
}

func rowOrder(a, b sampledRow) int {
	return slices.Compare([]string{a.Table, a.Key}, []string{b.Table, b.Key})
}
