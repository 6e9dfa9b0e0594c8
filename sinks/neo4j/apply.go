package neo4j

import (
	"context"

	"github.com/freshet-dev/freshet/sinks/place"
	"github.com/freshet-dev/freshet/stream"
)

// Apply writes a batch and moves the partition's next offset, in one transaction.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	st := place.Step{Move: place.Live, From: b.From, To: b.To}
	return s.classed(s.op("write to"), s.take(ctx, b.Partition, stepLimit, st, func(tx txn, h held) error {
		if h.Next != b.From {
			return place.ErrFenced
		}
		puts, err := s.lastOf(b)
		if err != nil {
			return err
		}
		h.Next = b.To
		if err := s.savePlace(ctx, tx, b.Partition, h); err != nil {
			return err
		}
		if h.Rebuild != nil {
			if err := s.bury(ctx, tx, s.stage(b.Partition, h), puts); err != nil {
				return err
			}
		}
		return s.write(ctx, tx, b.Partition, puts)
	}))
}

// Stage writes a batch to the stage and moves the rebuild's next offset, in one transaction.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	st := place.Step{Move: place.Stage, From: b.From, To: b.To}
	return s.classed(s.op("rebuild"), s.take(ctx, b.Partition, stepLimit, st, func(tx txn, h held) error {
		if h.Rebuild == nil || h.Rebuild.Next != b.From {
			return place.ErrFenced
		}
		puts, err := s.lastOf(b)
		if err != nil {
			return err
		}
		h.Rebuild = &stream.Rebuild{Next: b.To, End: h.Rebuild.End}
		if err := s.savePlace(ctx, tx, b.Partition, h); err != nil {
			return err
		}
		for _, t := range s.order {
			if err := s.stageRows(ctx, tx, s.stage(b.Partition, h), t, puts[t]); err != nil {
				return err
			}
		}
		return nil
	}))
}

// bury marks rows of the stage as deleted, since a deletion that the live tables saw during the rebuild must win over older records that the
// stage has still to read.
func (s *Sink) bury(ctx context.Context, tx txn, stage string, puts map[*table][]put) error {
	for _, t := range s.order {
		_, deletes := split(puts[t])
		if err := s.stageRows(ctx, tx, stage, t, deletes); err != nil {
			return err
		}
	}
	return nil
}

// stageRows writes rows, and tombstones of deleted ones, to a stage.
func (s *Sink) stageRows(ctx context.Context, tx txn, stage string, t *table, puts []put) error {
	const cypher = "UNWIND $rows AS u MERGE (r:" + stageLabel + " {stage: $stage, table: $table, document: u.id[0], key: u.id[1]}) " +
		"WITH r, u WHERE coalesce(r.version, -1) < u.guard SET r.version = u.version, r.deleted = u.deleted, r.lineage = u.lineage, r.columns = u.columns"
	d := derivation{sink: s, tx: tx}
	_, err := d.each(ctx, t, puts, cypher, args{"stage": stage, "table": s.rowTable(t)}, func(p put) (args, int, error) {
		u := args{"version": p.Version.Pack(), "deleted": p.Delete, "lineage": lineageText(p.Lineage), "columns": nil}
		if p.Delete {
			return u, 0, nil
		}
		if _, err := t.properties(p.Columns); err != nil {
			return nil, 0, err
		}
		u["columns"] = pack(p.Columns)
		return u, sizeOf(p.Columns), nil
	})
	return err
}

// emptyStages deletes what lies in stages of the partition that are over, in pieces: their names are not used again.
func (s *Sink) emptyStages(ctx context.Context, partition int32, h held) error {
	return s.repeat(ctx, "MATCH (r:"+stageLabel+") WHERE r.stage STARTS WITH $stages AND r.stage <> $stage WITH r LIMIT $piece DELETE r RETURN count(*)",
		args{"stages": s.stages(partition), "stage": s.stage(partition, h), "piece": 5000})
}
