package lancedb_test

import (
	"encoding/json"
	"testing"

	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

// TestFrontsAreRows: one commit switches all fronts, each names its table as the server does, and a front goes with the table that it shows.
func TestFrontsAreRows(t *testing.T) {
	p := newPlace(t)
	edition := func(front string, number int64) stream.TargetTable {
		kept := stream.TargetTable{Table: sinktest.Notes, Front: front}
		kept.Table.Name = stream.EditionName(front, number)
		return kept
	}
	sink, err := p.sink([]stream.TargetTable{edition("notes", 1), edition("my notes", 1), edition("my notes", 2)})
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	_, err = sink.Open(t.Context(), "f", "t")
	must(t, err)
	version := func() (d struct{ Version int }) {
		must(t, json.Unmarshal(p.ask(t, "freshet_fronts", "describe", fields{"load_detailed_metadata": true}), &d))
		return d
	}
	before := version().Version
	must(t, sink.(stream.Fronter).Show(t.Context(), []string{"notes__1", "my notes__2"}))
	if n := version().Version - before; n != 1 {
		t.Errorf("two fronts were switched by %d commits, want one", n)
	}
	shows := func(front string) string {
		found := p.query(t, "freshet_fronts", "name = '"+front+"'")
		if len(found) == 0 {
			return ""
		}
		table, _ := found[0]["shows"].(string)
		return table
	}
	if one, two := shows("notes"), shows("my notes"); one != "notes__1" || two != "my.20notes__2" {
		t.Errorf("the fronts show %q and %q", one, two)
	}
	must(t, sink.(stream.Dropper).Drop(t.Context()))
	if one, two := shows("notes"), shows("my notes"); one+two != "" {
		t.Errorf("the fronts show %q and %q, which are dropped", one, two)
	}
	_, err = p.sink([]stream.TargetTable{edition("freshet_fronts", 1)})
	wants(t, err, stream.Usage, "for bookkeeping")
}
