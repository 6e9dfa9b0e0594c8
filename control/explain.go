package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Derivation is how a row comes about: its document with the stored input, and what each node on its path makes of that.
type Derivation struct {
	Detail
	Current bool   `json:"current"` // the flow as it is now has evaluated the stored input; else the row may be of an earlier one
	Made    bool   `json:"made"`    // evaluating it gives the row
	Nodes   []Node `json:"nodes"`   // in order of evaluation
	Error   string `json:"error,omitempty"`
}

// Node is what a node on a row's path had and gave. A costly operator is not called: where its result is kept no more, it and
// what hangs on it are missing.
type Node struct {
	stream.NodeLineage
	Element string   `json:"element,omitempty"` // it has a value for each of these
	Ran     bool     `json:"ran"`
	Input   Value    `json:"input"`
	Output  Value    `json:"output"`
	Missing []string `json:"missing,omitempty"` // "input", "output": which of them are null for that reason
	Opened  *Opened  `json:"opened,omitempty"`  // Output is the row's element of a list
}

// Opened says which element of a node's list a row is of.
type Opened struct {
	Element string `json:"element"`
	Index   int    `json:"index"` // from 0
	Of      int    `json:"of"`
	Span    *Span  `json:"span,omitempty"` // of the text that the list was made from, where the element has one
}

// Span is a run of bytes.
type Span struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"` // exclusive
}

// RowRecord is the last record of a row in the rows topic.
type RowRecord struct {
	Partition int32            `json:"partition"`
	Version   string           `json:"version"` // generation.offset
	Offset    int64            `json:"offset"`
	Deleted   bool             `json:"deleted"`
	Columns   map[string]Value `json:"columns,omitempty"`
	Lineage   *schemas.Lineage `json:"lineage,omitempty"` // as of its last write
	LeftOut   []string         `json:"left_out"`          // targets that keep the table, and leave out this row by their `where`
	Before    *RowRecord       `json:"before,omitempty"`  // the row's record before this one; absent: there is none, or none that compaction left
}

// HeldQuery asks for a row of a target, or without a document for all that have a key.
type HeldQuery struct {
	Target    string
	Table     string // "": any
	Document  string // "": any
	Key       string
	Partition int32 // of the rows topic, to say how far the target is there; -1: not known
}

// Held is what a target holds, read back from it.
type Held struct {
	Target string    `json:"target"`
	Rows   []HeldRow `json:"rows"` // at most MaxHeld
	Next   *int64    `json:"next"` // next record of the rows topic's partition to be applied; null: not asked for
}

// MaxHeld is how many rows of one key are told.
const MaxHeld = 20

// HeldRow is a row that a target holds.
type HeldRow struct {
	Table    string `json:"table"`
	Document string `json:"document"`
	Key      string `json:"key"`
	Version  string `json:"version"`
}

// Derive explains a row by the stores that hold its document; false when they don't. Without a table no node is told.
func Derive(ctx context.Context, stores Stores, p *flow.Program, id stream.RowID) (d Derivation, found bool, err error) {
	d.Nodes = []Node{}
	err = visit(stores, id.Document, func(s engine.Store, h engine.Header, partition int32) error {
		found = true
		if err := d.read(s, h, partition); err != nil || id.Table == "" {
			return err
		}
		d.Current = h.Logic == p.Logic() && h.Status != engine.Pending
		return d.explain(ctx, s, p, id)
	})
	return d, found, err
}

// explain evaluates the stored input for a row.
func (d *Derivation) explain(ctx context.Context, s engine.Store, p *flow.Program, id stream.RowID) error {
	source, _, _ := strings.Cut(id.Document, "/")
	doc := stream.Document{ID: id.Document, Source: source, Input: d.Input.Value}
	of, err := p.Explain(ctx, doc, id.Table, id.Key, engine.Recalled(s))
	switch {
	case stream.KindOf(err) == stream.Invalid:
		d.Error = err.Error()
	case err != nil:
		return err
	}
	d.Made = of.Made
	for _, n := range of.Nodes {
		d.Nodes = append(d.Nodes, nodeOf(n))
	}
	return nil
}

func nodeOf(n flow.Derived) Node {
	out := Node{NodeLineage: n.NodeLineage, Element: n.Element, Ran: n.Ran}
	out.Input.Value = out.kept("input", n.Input)
	out.Output.Value = out.kept("output", n.Output)
	if n.Opened != nil {
		out.Opened = &Opened{Element: n.Opened.Element, Index: n.Opened.Index, Of: n.Opened.Of, Span: spanOf(n.Output)}
	}
	return out
}

// kept is a value; null for a stand-in, which is noted as missing.
func (n *Node) kept(what string, v stream.Value) stream.Value {
	if _, stands := v.StandsIn(); !stands {
		return v
	}
	n.Missing = append(n.Missing, what)
	return stream.Value{}
}

func spanOf(element stream.Value) *Span {
	if element.Kind() != stream.Map {
		return nil
	}
	span := element.Field("span")
	if span.Kind() != stream.Map || span.Field("start").Kind() != stream.Int || span.Field("end").Kind() != stream.Int {
		return nil
	}
	return &Span{span.Field("start").Int(), span.Field("end").Int()}
}

func (s *Server) derivation(w http.ResponseWriter, r *http.Request) {
	d, err := s.source.Derive(r.Context(), rowOf(r))
	answer(w, d, err)
}

func (s *Server) row(w http.ResponseWriter, r *http.Request) {
	p, err := partition(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	row, err := s.source.Row(r.Context(), rowOf(r), p)
	answer(w, row, err)
}

func (s *Server) held(w http.ResponseWriter, r *http.Request) {
	p, err := partition(r)
	if err != nil {
		answer(w, nil, err)
		return
	}
	id := rowOf(r)
	h, err := s.source.Held(r.Context(), HeldQuery{Target: r.FormValue("target"), Table: id.Table, Document: id.Document, Key: id.Key, Partition: p})
	h.Rows = some(h.Rows)
	answer(w, h, err)
}

func rowOf(r *http.Request) stream.RowID {
	return stream.RowID{Table: r.FormValue("table"), Document: r.FormValue("document"), Key: r.FormValue("key")}
}

// partition reads the partition of a request, -1 when it says none.
func partition(r *http.Request) (int32, error) {
	text := r.FormValue("partition")
	if text == "" {
		return -1, nil
	}
	p, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, stream.Errorf(stream.Usage, "read partition", "%q is no partition", text)
	}
	return int32(p), nil
}

// Derive asks how a row comes about; see the func of this name.
func (c *Client) Derive(ctx context.Context, id stream.RowID) (d Derivation, err error) {
	err = c.json(ctx, http.MethodGet, "/v1/derivation", rowValues(id, -1), &d)
	return d, err
}

// Row asks for the last record of a row in the rows topic. The process reads a partition of it, or with -1 all.
func (c *Client) Row(ctx context.Context, id stream.RowID, partition int32) (r RowRecord, err error) {
	err = c.unhurried().json(ctx, http.MethodGet, "/v1/row", rowValues(id, partition), &r)
	return r, err
}

// Held asks what a target holds. The process reads all of the target's rows for it.
func (c *Client) Held(ctx context.Context, q HeldQuery) (h Held, err error) {
	v := rowValues(stream.RowID{Table: q.Table, Document: q.Document, Key: q.Key}, q.Partition)
	v.Set("target", q.Target)
	err = c.unhurried().json(ctx, http.MethodGet, "/v1/held", v, &h)
	return h, err
}

func rowValues(id stream.RowID, partition int32) url.Values {
	return url.Values{"table": {id.Table}, "document": {id.Document}, "key": {id.Key}, "partition": {strconv.Itoa(int(partition))}}
}

// RowRecordOf returns a row's last record as control tells it, given the partition that has it. An error has kind Invalid: its lineage can't be read.
func RowRecordOf(t stream.Table, w stream.RowWrite, partition int32) (RowRecord, error) {
	r := RowRecord{Partition: partition, Version: w.Version.String(), Offset: w.Version.Offset, Deleted: w.Delete, LeftOut: []string{}}
	if w.Delete {
		return r, nil
	}
	r.Columns, r.Lineage = map[string]Value{}, &schemas.Lineage{}
	for i, c := range t.Columns {
		r.Columns[c.Name] = Value{w.Columns[i]}
	}
	if err := json.Unmarshal(w.Lineage, r.Lineage); err != nil {
		return r, &stream.Error{Op: "read the lineage of row " + w.Key + " of table " + w.Table, Doc: w.Document, Kind: stream.Invalid, Err: err}
	}
	return r, nil
}
