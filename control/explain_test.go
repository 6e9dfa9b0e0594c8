package control_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/stream"
)

// TestExplainRequests: what is asked arrives as it was meant, and so does the answer.
func TestExplainRequests(t *testing.T) {
	p := &process{}
	s := p.source(newShelf(t))
	id := stream.RowID{Table: "pages", Document: "page/a & b.md", Key: "k=1"}
	next := int64(9)
	node := control.Node{NodeLineage: stream.NodeLineage{Node: "vector", Operator: "embed", Version: 1}, Ran: true, Input: control.Value{Value: stream.StringOf("x")},
		Missing: []string{"output"}, Opened: &control.Opened{Element: "chunk", Of: 2, Span: &control.Span{End: 4}}}
	s.Derive = func(_ context.Context, asked stream.RowID) (control.Derivation, error) {
		if asked != id {
			return control.Derivation{}, control.ErrNotHere
		}
		return control.Derivation{Made: true, Nodes: []control.Node{node}}, nil
	}
	s.Row = func(_ context.Context, asked stream.RowID, partition int32) (control.RowRecord, error) {
		return control.RowRecordOf(stream.Table{Name: "pages", Columns: []stream.Field{{Name: "title"}}},
			stream.RowWrite{RowID: asked, Version: stream.Version{Generation: 1, Offset: 7}, Columns: []stream.Value{stream.StringOf("T")}, Lineage: []byte(`{"topic":"t"}`)}, partition)
	}
	s.Held = func(_ context.Context, q control.HeldQuery) (control.Held, error) {
		return control.Held{Target: q.Target, Rows: []control.HeldRow{{Table: q.Table, Document: q.Document, Key: q.Key, Version: fmt.Sprint(q.Partition)}}, Next: &next}, nil
	}
	c := serve(t, s)
	d, err := c.Derive(t.Context(), id)
	if err != nil || !d.Made || len(d.Nodes) != 1 || fmt.Sprint(d.Nodes[0].NodeLineage, d.Nodes[0].Input, d.Nodes[0].Missing, *d.Nodes[0].Opened.Span) !=
		fmt.Sprint(node.NodeLineage, node.Input, node.Missing, *node.Opened.Span) {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := c.Derive(t.Context(), stream.RowID{Document: "page/none.md"}); !errors.Is(err, control.ErrNotHere) {
		t.Errorf("got %v", err)
	}
	if r, err := c.Row(t.Context(), id, 3); err != nil || r.Partition != 3 || r.Version != "1.7" || r.Columns["title"].Str() != "T" || r.Lineage.Topic != "t" {
		t.Errorf("got %+v, %v", r, err)
	}
	h, err := c.Held(t.Context(), control.HeldQuery{Target: "local", Table: id.Table, Document: id.Document, Key: id.Key, Partition: -1})
	if err != nil || *h.Next != 9 || h.Rows[0] != (control.HeldRow{Table: id.Table, Document: id.Document, Key: id.Key, Version: "-1"}) {
		t.Errorf("got %+v, %v", h, err)
	}
}
