package neo4j

import (
	"context"
	"slices"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// StartRebuild empties the stage and notes the rebuild. A deletion that lies between end and a higher next offset is in no stage and would be
// undone by the switch; so next goes back to end, and records from there are applied once more: a writer that didn't expect this is fenced, and
// learns it from Assign. Repeatable.
func (s *Sink) StartRebuild(ctx context.Context, partition int32, end int64) error {
	var after held
	err := s.guarded(ctx, partition, stepLimit, func(tx txn, h held) error {
		h.Next = min(h.Next, end)
		h.run++
		h.Rebuild = &stream.Rebuild{End: end}
		after = h
		return s.savePlace(ctx, tx, partition, h)
	})
	if err == nil {
		err = s.emptyStages(ctx, partition, after)
	}
	return s.classed(s.op("start to rebuild"), err)
}

// Switch makes the stage's rows those of the partition, in one transaction, and ends the rebuild.
func (s *Sink) Switch(ctx context.Context, partition int32, end int64) error {
	var after *held
	err := s.take(ctx, partition, longLimit, place.Step{Move: place.Finish, To: end}, func(tx txn, h held) error {
		if !h.Staged(end) {
			return stream.Errorf(stream.Internal, s.op("end the rebuild of"),
				"partition %d: the stage does not hold a rebuild up to offset %d", partition, end)
		}
		if err := s.switchAll(ctx, tx, partition, h); err != nil {
			return err
		}
		h.Next, h.Rebuild = max(h.Next, end), nil
		h.run++
		after = &h
		return s.savePlace(ctx, tx, partition, h)
	})
	if err == nil && after != nil {
		err = s.emptyStages(ctx, partition, *after)
	}
	return s.classed(s.op("end the rebuild of"), err)
}

// switchAll deletes what is not staged, then takes over what is. Rows newer than the rebuild stay (invariant 3), and so do those of older
// generations.
func (s *Sink) switchAll(ctx context.Context, tx txn, partition int32, h held) error {
	before := stream.Version{Generation: h.Generation, Offset: h.Rebuild.End}.Pack()
	stage := s.stage(partition, h)
	a := args{"partition": int64(partition), "partitions": int64(1) << 32, "first": stream.FirstOf(h.Generation).Pack(), "before": before, "stage": stage}
	for _, t := range s.order {
		if err := s.deleteUnstaged(ctx, tx, t, partition, a); err != nil {
			return err
		}
		if err := s.unstage(ctx, tx, t, partition, stage, before); err != nil {
			return err
		}
	}
	return nil
}

// Sweep deletes the partition's rows below a version that are not staged. Repeatable.
func (s *Sink) Sweep(ctx context.Context, partition, partitions int32, before stream.Version) error {
	return s.classed(s.op("sweep"), s.guarded(ctx, partition, longLimit, func(tx txn, h held) error {
		a := args{"partition": int64(partition), "partitions": int64(partitions), "first": int64(0), "before": before.Pack(), "stage": s.stage(partition, h)}
		for _, t := range s.order {
			if err := s.deleteUnstaged(ctx, tx, t, partition, a); err != nil {
				return err
			}
		}
		return nil
	}))
}

// deleteUnstaged deletes the rows from $first to before $before of the partitions that equal $partition modulo $partitions, but for those that
// $stage holds.
func (s *Sink) deleteUnstaged(ctx context.Context, tx txn, t *table, partition int32, a args) error {
	a["table"], a["limit"] = s.rowTable(t), maxRows
	from, f := t.rowPattern("r")
	cypher := "MATCH " + from + " WHERE " + f.partition + " % $partitions = $partition AND " + f.version + " < $before AND " + f.version +
		" >= $first AND NOT EXISTS { MATCH (x:" + stageLabel + " {stage: $stage, table: $table, document: " + f.document + ", key: " + f.key +
		"}) WHERE NOT x.deleted } RETURN " + f.document + ", " + f.key + " LIMIT $limit"
	before, _ := a["before"].(int64)
	for {
		rows, err := tx.run(ctx, cypher, a)
		if err != nil || len(rows) == 0 {
			return err
		}
		puts := make([]put, len(rows))
		for i, id := range identities(rows) {
			puts[i] = put{stream.RowWrite{RowID: stream.RowID{Table: t.decl.Name, Document: id.document, Key: id.key}, Delete: true}, before}
		}
		if err := s.write(ctx, tx, partition, map[*table][]put{t: puts}); err != nil {
			return err
		}
	}
}

// unstage writes the stage's rows of a table, where they differ from those held.
func (s *Sink) unstage(ctx context.Context, tx txn, t *table, partition int32, stage string, before int64) error {
	const from = "(r:" + stageLabel + " {stage: $stage, table: $table})"
	a := args{"stage": stage, "table": s.rowTable(t)}
	return pages(ctx, tx, from, rowFields("r"), "NOT r.deleted", "r.document, r.key, r.version, r.lineage, r.columns", a, func(page [][]any) error {
		var puts []put
		for _, row := range page {
			r, err := t.scanRow(row)
			if err != nil {
				return err
			}
			puts = append(puts, put{r, before})
		}
		puts, err := s.differing(ctx, tx, t, partition, puts)
		if err != nil {
			return err
		}
		return s.write(ctx, tx, partition, map[*table][]put{t: puts})
	})
}

// differing leaves out what the nodes hold already, so that a rebuild of a sound partition takes next to no memory of the server. What is derived
// is always derived anew.
func (s *Sink) differing(ctx context.Context, tx txn, t *table, partition int32, puts []put) ([]put, error) {
	if t.derived() {
		return puts, nil
	}
	ids := make([]identity, len(puts))
	for i, p := range puts {
		ids[i] = identity{p.Document, p.Key}
	}
	rows, err := tx.run(ctx, "UNWIND $ids AS i MATCH "+t.match("n", "i")+" RETURN properties(n)", args{"ids": pairs(ids)})
	if err != nil {
		return nil, err
	}
	heldRows := map[stream.RowID]stream.Fingerprint{}
	for _, row := range rows {
		p, _ := row[0].(map[string]any)
		r, there := t.scanNode(p)
		heldRows[r.RowID] = digest(r, there)
	}
	return slices.DeleteFunc(puts, func(p put) bool {
		rounded := p.RowWrite
		var err error
		rounded.Columns, err = t.round(p.Columns)
		f, held := heldRows[p.RowID]
		return held && err == nil && f == digest(rounded, partition)
	}), nil
}

// digest covers all of a row, and the partition that it lies in.
func digest(r stream.RowWrite, partition int32) stream.Fingerprint {
	return stream.FingerprintOfList(stream.ListOf(r.Columns...), stream.IntOf(r.Version.Pack()), stream.BytesOf(r.Lineage), stream.IntOf(int64(partition)))
}
