package lancedb

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

var _ guard.Store = (*store)(nil)

// older is guard.Item.Beats, for items whose condition is that of their own version. Invariant 3.
const older = "target." + colVersion + " < source." + colVersion + " OR (target." + colVersion + " = source." + colVersion +
	" AND target." + colEpoch + " <= source." + colEpoch + ")"

// Put writes items by one commit: all or none. See guard.Rows.
func (s *store) Put(ctx context.Context, name string, items []guard.Item) error {
	t, err := s.table(name)
	if err != nil || len(items) == 0 {
		return err
	}
	batch, err := t.batch(items)
	if err != nil {
		return err
	}
	_, err = s.merge(ctx, "write rows", t.place, batch, merge{on: colID, when: older, insert: true})
	switch {
	case !isStatus(err, http.StatusRequestEntityTooLarge):
		return err
	case len(items) == 1:
		return t.faulty(items[0], fmt.Errorf("the row is larger than what the server takes in a request: %w; raise the server's limit, or put less into a row", err))
	}
	half := len(items) / 2
	if err := s.Put(ctx, name, items[:half]); err != nil {
		return err
	}
	return s.Put(ctx, name, items[half:])
}

// merge says what becomes of rows that a table holds under the same value of a column, and of those that it does not.
type merge struct {
	on     string
	when   string // the condition, in SQL over target and source, under which a row held is replaced; "" for never
	insert bool   // rows that are not held are inserted
}

// outcome counts the rows that a merge changed.
type outcome struct {
	Updated  int64 `json:"num_updated_rows"`
	Inserted int64 `json:"num_inserted_rows"`
}

// merge writes a batch in one commit. One that met another commit, the server has done again against what that left.
func (s *store) merge(ctx context.Context, doing string, p *place, batch arrow.RecordBatch, m merge) (o outcome, err error) {
	r := request{doing: doing, kind: "table", path: s.of(p), action: "merge_insert", form: typeArrow, query: url.Values{"on": {m.on}}}
	if m.when != "" {
		r.query.Set("when_matched_update_all", "true")
		r.query.Set("when_matched_update_all_filt", m.when)
	}
	r.query.Set("when_not_matched_insert_all", fmt.Sprint(m.insert))
	if r.body, err = encoded(batch); err != nil {
		return o, err
	}
	err = p.commit(ctx, doing, func(ctx context.Context) error { return s.do(ctx, r, &o) })
	return o, err
}

// commit does one when no other of this process to the table is under way. The limit of a request holds for its turn too: what waits for one is as
// stale as what is under way.
func (p *place) commit(ctx context.Context, doing string, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	select {
	case <-p.commits:
		defer func() { p.commits <- struct{}{} }()
		return do(ctx)
	case <-ctx.Done():
		return &stream.Error{Op: "lancedb: " + doing, Kind: stream.Transient, Err: ctx.Err()}
	}
}

// Collect removes tombstones; one that was replaced meanwhile stays. See guard.Rows.
func (s *store) Collect(ctx context.Context, name string, in guard.Range, before time.Time) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	return s.remove(ctx, "remove tombstones", t.place, fmt.Sprintf("%s = true AND %s < %d AND %s", colDeleted, colAt, before.UnixMilli(), condition(in)))
}

// remove deletes the rows that meet a condition in SQL, in one commit.
func (s *store) remove(ctx context.Context, doing string, p *place, predicate string) error {
	ask := struct {
		Predicate string `json:"predicate"`
	}{predicate}
	return p.commit(ctx, doing, func(ctx context.Context) error { return s.tell(ctx, doing, p, "delete", ask, nil) })
}

// condition is a range in SQL.
func condition(in guard.Range) string {
	partition := colPartition
	if in.Modulo > 0 {
		partition = fmt.Sprintf("%s %% %d", colPartition, in.Modulo)
	}
	text := fmt.Sprintf("%s = %d AND %s >= %d AND %s < %d", partition, in.Partition, colVersion, in.From.Pack(), colVersion, in.Below.Pack())
	if in.Epoch > 0 {
		text += fmt.Sprintf(" AND %s < %d", colEpoch, in.Epoch)
	}
	return text
}
