package sqlite

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

// Apply writes a batch and its next offset in one transaction, in order: of several writes of a key the last stays.
// See stream.Sink.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	return s.writeBatch(ctx, "apply to", "next", b, func(t *table) string { return t.name })
}

// Stage writes a batch of a rebuild to the stage tables. See stream.Sink.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	return s.writeBatch(ctx, "stage a rebuild of", "rebuild_next", b, func(t *table) string { return t.stage })
}

func (s *Sink) writeBatch(ctx context.Context, doing, offset string, b stream.Batch, into func(*table) string) error {
	return s.transact(ctx, doing, func(tx *txn) error {
		if err := s.advance(ctx, tx, doing, offset, b); err != nil {
			return err
		}
		// Each write is short; watching ctx inside it would cost the driver a goroutine per row.
		short, writers := context.WithoutCancel(ctx), map[string]*rowWriter{}
		for _, u := range b.Units {
			for i := range u.Rows {
				if err := s.writeRow(short, tx, writers, b.Partition, &u.Rows[i], into); err != nil {
					return err
				}
			}
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		return nil
	})
}

// rowWriter holds what the writes of one table in one batch share.
type rowWriter struct {
	table          *table
	upsert, remove string
	args           []any // reused from row to row
}

func (s *Sink) writeRow(ctx context.Context, tx *txn, writers map[string]*rowWriter, partition int32, r *stream.RowWrite, into func(*table) string) error {
	w := writers[r.Table]
	if w == nil {
		t := s.table(r.Table)
		if t == nil {
			return stream.Errorf(stream.Internal, s.op("apply to"), "table %q is not one of this target's", r.Table)
		}
		w = &rowWriter{table: t, upsert: t.upsert(into(t)), remove: t.remove(into(t))}
		writers[r.Table] = w
	}
	if r.Delete {
		_, err := tx.exec(ctx, w.remove, r.Document, r.Key, r.Version.Pack())
		return err
	}
	if err := w.bind(partition, r); err != nil {
		return &stream.Error{Op: s.op("write a row of table " + r.Table + " to"), Doc: r.Document, Kind: stream.Usage, Err: err}
	}
	_, err := tx.exec(ctx, w.upsert, w.args...)
	return err
}

// bind fills args with the row, in the order of columnList.
func (w *rowWriter) bind(partition int32, r *stream.RowWrite) error {
	var lineage any
	if r.Lineage != nil {
		lineage = string(r.Lineage)
	}
	w.args = append(w.args[:0], r.Document, r.Key, r.Version.Pack(), int64(partition), lineage)
	return w.bindColumns(r.Columns)
}
