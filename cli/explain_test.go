package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

func TestStateInATarget(t *testing.T) {
	row := func(r control.RowRecord) *control.RowRecord { r.Version, r.Offset = "1.7", 7; return &r }
	live, deleted, leftOut := row(control.RowRecord{}), row(control.RowRecord{Deleted: true}), row(control.RowRecord{LeftOut: []string{"local"}})
	for _, tt := range []struct {
		name string
		row  *control.RowRecord
		held string
		next int64
		want string
	}{
		{"it holds the last version", live, "1.7", 8, heldEqual},
		{"the last record is to be applied", live, "1.3", 7, heldBehind},
		{"the first record is to be applied", live, "", 0, heldBehind},
		{"the row was lost", live, "", 8, heldAbsent},
		{"the row was put back", live, "1.3", 8, heldDiffers},
		{"the delete was applied", deleted, "", 8, heldEqual},
		{"the delete is to be applied", deleted, "1.3", 5, heldBehind},
		{"the row came back", deleted, "1.3", 8, heldDiffers},
		{"it is left out", leftOut, "", 8, heldLeftOut},
		{"it is left out now", leftOut, "1.3", 7, heldBehind},
		{"it is there although left out", leftOut, "1.7", 8, heldDiffers},
		{"nobody has it", nil, "", 8, heldEqual},
		{"only the target has it", nil, "1.3", 8, heldDiffers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := stateIn("local", tt.row, explainedTarget{Version: tt.held, Next: &tt.next}); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestExplainedIsPrinted(t *testing.T) {
	next := int64(5)
	now := stream.NodeLineage{Node: "vector", Operator: "embed", Version: 2, Model: "new"}
	was := now
	was.Version, was.Model = 1, "old"
	e := explained{Target: "local", Table: "chunks", Document: "page/a.md", Key: "k",
		Row: &control.RowRecord{Version: "1.7", Lineage: &schemas.Lineage{Topic: "t", Revision: "abc", Nodes: []stream.NodeLineage{was}}},
		Source: &control.Derivation{Nodes: []control.Node{
			{NodeLineage: now, Element: "chunk", Ran: true, Input: control.Value{Value: stream.StringOf("x")}, Missing: []string{"output"}},
			{NodeLineage: stream.NodeLineage{Node: "said", Operator: "expr", Version: 1}}}},
		Targets: []explainedTarget{{Target: "local", State: heldBehind, Version: "1.3", Next: &next}, {Target: "away", State: heldUnread, Error: "it is away"}}}
	older := was
	older.Model = "oldest"
	value := func(text string) map[string]control.Value {
		return map[string]control.Value{"title": {Value: stream.StringOf(text)}, "same": {Value: stream.IntOf(1)}}
	}
	e.Row.Columns = value("Salt")
	e.Row.Before = &control.RowRecord{Version: "1.4", Columns: value("Sand"), Lineage: &schemas.Lineage{Topic: "t", Offset: 3, Revision: "abb", Nodes: []stream.NodeLineage{older}}}
	var out bytes.Buffer
	e.print(&out)
	for _, want := range []string{"written of t/0@0\n", "revision   abc\n", "has not evaluated this input yet", "this input does not give the row",
		"node vector (embed, version 2, model new), for the chunk; when the row was written: embed, version 1, model old\n  in         x\n  out        not kept\n",
		"node said (expr, version 1): not run\n", "target local: behind, holds version 1.3; it has applied the partition up to offset 5\n",
		"target away: unread: it is away\n", "  column     title = Salt\n  before     version 1.4, written of t/0@3, revision abb\n" +
			"    node     vector by embed, version 1, model oldest\n    column   title = Sand\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
