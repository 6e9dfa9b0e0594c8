package torture

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// behind is what a flow still has to do, by its own word; the second is false while a replica does not say.
func (r *rig) behind(ctx context.Context) (why string, known bool) {
	sources, targets := map[int32]bool{}, map[string]map[int32]bool{}
	for _, x := range r.replicas {
		if x.p == nil {
			continue // it was not started, or its place was taken
		}
		s, ok := x.status(ctx)
		if !ok {
			return x.name + " does not answer", false
		}
		if s.SourceLag == nil && strings.Contains(x.roles, "process") {
			return x.name + " does not know its lag", false
		}
		if s.SourceLag != nil && *s.SourceLag > 0 {
			return fmt.Sprintf("%s lags by %d records", x.name, *s.SourceLag), true
		}
		for _, p := range s.Partitions {
			if p.State != "ready" || p.Busy || p.Stats.Pending > 0 {
				return fmt.Sprintf("%s has %d documents pending in partition %d, which is %s", x.name, p.Stats.Pending, p.Partition, p.State), true
			}
			sources[p.Partition] = true
		}
		for _, t := range s.Targets {
			if t.Lag == nil || *t.Lag > 0 {
				return fmt.Sprintf("target %s of %s lags", t.Target, x.name), t.Lag != nil
			}
			if targets[t.Target] == nil {
				targets[t.Target] = map[int32]bool{}
			}
			for _, p := range t.Partitions {
				targets[t.Target][p.Partition] = true
			}
		}
	}
	if len(sources) < partitions {
		return fmt.Sprintf("%d partitions are processed", len(sources)), true
	}
	for name, held := range targets {
		if len(held) < partitions {
			return fmt.Sprintf("%d partitions of target %s are delivered", len(held), name), true
		}
	}
	return "", true
}

// settle waits until nothing is left to do.
func (r *rig) settle(t *testing.T) {
	t.Helper()
	why := ""
	defer func() {
		if t.Failed() {
			t.Logf("last: %s", why)
		}
	}()
	r.until(t, "everything is processed and delivered", func(ctx context.Context) bool {
		now, _ := r.behind(ctx)
		if ctx.Err() == nil {
			why = now
		}
		return now == ""
	})
}

// check compares what is there when nothing is left to do: each target with the model of the source, and, row by row with versions and
// vectors, with the rows topic; and no replica's state diverged from what is committed.
func (r *rig) check(t *testing.T, b *background) {
	t.Helper()
	topic, want := r.rowsTopic(t), b.load.model()
	b.report(t, topic.deleted)
	if len(want) == 0 {
		t.Fatal("the source is empty in the end: the comparison says nothing")
	}
	for _, v := range r.targets {
		held, err := v.rows(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range held {
			got = append(got, s.declared())
		}
		slices.Sort(got)
		differ(t, v.name()+" and the model of the source", got, want)
		differ(t, v.name()+" and the rows topic", exact(held), topic.lines)
		at, err := v.applied(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for p, end := range topic.ends {
			if at[p] < end {
				t.Errorf("%s says that partition %d is applied below offset %d, and holds rows up to %d", v.name(), p, at[p], end)
			}
		}
	}
	for _, x := range r.replicas {
		if s, ok := x.status(t.Context()); ok && s.Divergences > 0 {
			t.Errorf("the state of %s diverged from what is committed", x.name)
		}
	}
}

// exact are lines with all that a row has, sorted.
func exact(rows []row) []string {
	lines := make([]string, 0, len(rows))
	for _, s := range rows {
		lines = append(lines, fmt.Sprintf("%s @%d: %s %v", s.identity(), s.version, s.declared(), s.vector))
	}
	slices.Sort(lines)
	return lines
}

// differ reports what is in one list and not in the other.
func differ(t *testing.T, what string, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("%s differ: %d rows and %d", what, len(got), len(want))
	shown := 0
	for _, side := range []struct {
		sign     string
		of, less []string
	}{{"+", got, want}, {"-", want, got}} {
		for _, line := range side.of {
			if _, both := slices.BinarySearch(side.less, line); !both && shown < 20 {
				shown++
				t.Logf("%s %.300s", side.sign, line)
			}
		}
	}
}

// tables are the flow's, their columns in the order of their names, as freshet keeps them.
var tables = map[string]stream.Table{
	"docs":   {Name: "docs", Columns: []stream.Field{{Name: "id"}, {Name: "parts"}, {Name: "rev"}}},
	"chunks": {Name: "chunks", Columns: []stream.Field{{Name: "embedding"}, {Name: "id"}, {Name: "rev"}, {Name: "text"}}},
}

// history is what a flow's rows topic says.
type history struct {
	lines   []string           // of the rows that there are in the end
	ends    map[int32]int64    // by partition, the offset after the last record
	deleted map[string][]int64 // by identity, the versions of deletes
}

// rowsTopic reads the flow's rows topic to its end: the last record of each row decides.
func (r *rig) rowsTopic(t *testing.T) history {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	topic := r.name + ".rows"
	ends, err := r.adm.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addresses()...), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	rows := map[stream.RowID]row{}
	at := map[int32]int64{}
	h := history{ends: map[int32]int64{}, deleted: map[string][]int64{}}
	for !reached(at, ends[topic]) {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading %s: %v", topic, ctx.Err())
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			at[rec.Partition] = rec.Offset + 1
			if rec.Attrs.IsControl() {
				return
			}
			h.ends[rec.Partition] = rec.Offset + 1
			id, s, deleted := decode(t, rec)
			if deleted {
				h.deleted[s.identity()] = append(h.deleted[s.identity()], s.version)
				delete(rows, id)
			} else {
				rows[id] = s
			}
		})
	}
	h.lines = exact(slices.Collect(maps.Values(rows)))
	return h
}

func reached(at map[int32]int64, ends map[int32]kadm.ListedOffset) bool {
	for p, end := range ends {
		if at[p] < end.Offset {
			return false
		}
	}
	return true
}

func decode(t *testing.T, rec *kgo.Record) (id stream.RowID, s row, deleted bool) {
	t.Helper()
	plain := &stream.Record{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Key: rec.Key, Value: rec.Value}
	for _, h := range rec.Headers {
		plain.Headers = append(plain.Headers, stream.Header{Key: h.Key, Value: h.Value})
	}
	w, _, _, err := schemas.DecodeRow(plain, tables)
	if err != nil {
		t.Fatal(err)
	}
	w.Version = stream.Version{Generation: 1, Offset: rec.Offset}
	if w.Delete {
		return w.RowID, row{table: w.Table, document: w.Document, key: w.Key, version: w.Version.Pack()}, true
	}
	return w.RowID, rowOf(w), false
}
