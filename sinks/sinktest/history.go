package sinktest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// historyCases hold the law behind the other cases: whatever happens in between, a target holds what folding the rows
// topic up to its next offset gives.
var historyCases = []Case{{"random histories end as the rows topic says", func(t *testing.T, h Harness) {
	partition := int32(0)
	rapid.Check(t, func(r *rapid.T) {
		partition++ // each history has a partition and documents of its own in the one target
		s := &history{t: t, w: open(r, h, chunks), partition: partition}
		s.begin(r)
		r.Repeat(map[string]func(*rapid.T){
			"apply":   s.apply,
			"take":    s.take,
			"damage":  s.damage,
			"rebuild": s.rebuild,
			"stage":   s.stage,
			"switch":  s.switchOver,
			"":        s.check,
		})
	})
}}}

// history is a partition's rows topic and what the target should make of it.
type history struct {
	t         *testing.T
	w         *writer
	partition int32
	log       []stream.RowWrite // by offset
	rebuilds  *stream.Rebuild   // under way
	damaged   bool              // rows were edited since the last rebuild began
	repaired  bool              // a rebuild that began after all damage is under way
}

// begin takes the partition, and sweeps away what earlier histories left.
func (s *history) begin(r *rapid.T) {
	s.w.assign(0)
	noError(r, s.w.sink.Sweep(r.Context(), 0, 1, stream.Version{Generation: generation + 1}), "sweep")
	s.w.begin(s.partition)
}

// apply appends a few rows to the topic and applies them.
func (s *history) apply(r *rapid.T) {
	var units []stream.Unit
	for range rapid.IntRange(0, 3).Draw(r, "rows") {
		document := fmt.Sprintf("%d/%d", s.partition, rapid.IntRange(0, 2).Draw(r, "document"))
		key := fmt.Sprint(rapid.IntRange(0, 2).Draw(r, "key"))
		row := chunk(document, key, len(s.log))
		if rapid.IntRange(0, 3).Draw(r, "delete") == 0 {
			row = del("chunks", document, key)
		}
		units = append(units, unit(row))
	}
	b := s.w.batch(s.partition, units...)
	for _, u := range b.Units {
		s.log = append(s.log, u.Rows...)
	}
	noError(r, s.w.sink.Apply(r.Context(), b), "apply")
	s.w.next[s.partition] = b.To
}

// take gives the partition to a new instance, or to the same one again; a former instance is refused.
func (s *history) take(r *rapid.T) {
	former := s.w
	if rapid.Bool().Draw(r, "new instance") {
		s.w = open(r, s.w.h, chunks)
	}
	a := s.w.assign(s.partition)
	if a.Next != int64(len(s.log)) || (a.Rebuild == nil) != (s.rebuilds == nil) || a.Rebuild != nil && *a.Rebuild != *s.rebuilds {
		r.Fatalf("assign: next %d, rebuild %+v; want %d, %+v", a.Next, a.Rebuild, len(s.log), s.rebuilds)
	}
	if s.w != former {
		late := former.batch(s.partition, unit(chunk(fmt.Sprint(s.partition, "/0"), "0", -1)))
		wantKind(r, former.sink.Apply(r.Context(), late), stream.Fenced, "apply by the former instance")
		former.close()
	}
}

// damage edits a row by hand, which only a rebuild repairs.
func (s *history) damage(r *rapid.T) {
	rows := s.fold(len(s.log))
	if len(rows) == 0 {
		r.Skip("no row to damage")
	}
	row := rows[rapid.IntRange(0, len(rows)-1).Draw(r, "row")]
	s.w.h.Edit(s.t, row.RowID, "text", "damaged")
	s.damaged, s.repaired = true, false
}

func (s *history) rebuild(r *rapid.T) {
	s.rebuilds = &stream.Rebuild{End: int64(len(s.log))}
	s.repaired = true
	noError(r, s.w.sink.StartRebuild(r.Context(), s.partition, s.rebuilds.End), "start rebuild")
}

// stage reads on: what a later record below the end supersedes may be compacted away.
func (s *history) stage(r *rapid.T) {
	if s.rebuilds == nil || s.rebuilds.Next == s.rebuilds.End {
		r.Skip("nothing to stage")
	}
	b := stream.Batch{Partition: s.partition, From: s.rebuilds.Next}
	b.To = rapid.Int64Range(b.From+1, s.rebuilds.End).Draw(r, "to")
	for _, row := range s.log[b.From:b.To] {
		if !s.superseded(row) || rapid.Bool().Draw(r, "not compacted") {
			b.Units = append(b.Units, unit(row))
		}
	}
	noError(r, s.w.sink.Stage(r.Context(), b), "stage")
	s.rebuilds.Next = b.To
}

func (s *history) superseded(row stream.RowWrite) bool {
	return slices.ContainsFunc(s.log[row.Version.Offset+1:], func(later stream.RowWrite) bool { return later.RowID == row.RowID })
}

func (s *history) switchOver(r *rapid.T) {
	if s.rebuilds == nil || s.rebuilds.Next < s.rebuilds.End {
		r.Skip("no rebuild to end")
	}
	noError(r, s.w.sink.Switch(r.Context(), s.partition, s.rebuilds.End), "switch")
	s.rebuilds, s.damaged = nil, s.damaged && !s.repaired
}

// check compares the target with the topic; the text of damaged rows aside.
func (s *history) check(r *rapid.T) {
	want := s.fold(len(s.log))
	got := s.w.read("chunks")
	if fmt.Sprint(ids(got)) != fmt.Sprint(ids(want)) {
		r.Fatalf("the target holds %v, the topic %v", ids(got), ids(want))
	}
	for i := range want {
		if s.damaged {
			got[i].Columns[2] = want[i].Columns[2]
		}
		s.w.sameRow(got[i], want[i])
	}
}

// fold returns the rows that the first records give, in order of (document, key).
func (s *history) fold(records int) []stream.RowWrite {
	held := map[string]stream.RowWrite{}
	for _, row := range s.log[:records] {
		id := row.Document + "/" + row.Key
		if held[id] = row; row.Delete {
			delete(held, id)
		}
	}
	rows := make([]stream.RowWrite, 0, len(held))
	for _, id := range slices.Sorted(maps.Keys(held)) {
		rows = append(rows, held[id])
	}
	return rows
}
