package sqlite

import (
	"context"
	"math"

	"github.com/freshet-dev/freshet/stream"
)

// Apply writes a batch and its next offset in one transaction, in order: of several writes of a key the last stays.
// See stream.Sink.
func (s *Sink) Apply(ctx context.Context, b stream.Batch) error {
	return s.transact(ctx, "apply to", func(tx *txn) error {
		end, err := s.advance(ctx, tx, "next", b)
		if err != nil {
			return err
		}
		w := s.newBatchWriter(tx, b.Partition, func(t *table) string { return t.name })
		if end.Valid {
			w.noteFrom = end.Int64
		}
		return w.write(ctx, b.Units)
	})
}

// Stage writes a batch of a rebuild to the stage tables. See stream.Sink.
func (s *Sink) Stage(ctx context.Context, b stream.Batch) error {
	return s.transact(ctx, "stage a rebuild of", func(tx *txn) error {
		if _, err := s.advance(ctx, tx, "rebuild_next", b); err != nil {
			return err
		}
		return s.newBatchWriter(tx, b.Partition, func(t *table) string { return t.stage }).write(ctx, b.Units)
	})
}

// batchWriter writes one batch in one transaction.
type batchWriter struct {
	sink      *Sink
	tx        *txn
	partition int32
	into      func(*table) string
	tables    map[string]*rowWriter
	// noteFrom is the end of a rebuild under way. A delete from there on is noted in the stage as well, whether or not
	// the row was staged yet: the rebuild does not read it, and the switch would bring the row back.
	noteFrom int64
}

// rowWriter holds what the writes of one table in one batch share.
type rowWriter struct {
	table                *table
	upsert, remove, note string
	args                 []any // reused from row to row
}

func (s *Sink) newBatchWriter(tx *txn, partition int32, into func(*table) string) *batchWriter {
	return &batchWriter{sink: s, tx: tx, partition: partition, into: into, tables: map[string]*rowWriter{}, noteFrom: math.MaxInt64}
}

func (w *batchWriter) write(ctx context.Context, units []stream.Unit) error {
	short := context.WithoutCancel(ctx) // each write is short; watching ctx inside it costs the driver a goroutine per row
	for _, u := range units {
		for i := range u.Rows {
			if err := w.writeRow(short, &u.Rows[i]); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (w *batchWriter) writeRow(ctx context.Context, r *stream.RowWrite) error {
	t, err := w.tableOf(r)
	if err != nil {
		return err
	}
	if r.Delete {
		return w.remove(ctx, t, r)
	}
	if err := t.bind(w.partition, r); err != nil {
		return &stream.Error{Op: w.sink.op("write a row of table " + r.Table + " to"), Doc: r.Document, Kind: stream.Usage, Err: err}
	}
	_, err = w.tx.exec(ctx, t.upsert, t.args...)
	return err
}

func (w *batchWriter) remove(ctx context.Context, t *rowWriter, r *stream.RowWrite) error {
	_, err := w.tx.exec(ctx, t.remove, r.Document, r.Key, r.Version.Pack())
	if err == nil && r.Version.Offset >= w.noteFrom {
		_, err = w.tx.exec(ctx, t.note, r.Document, r.Key, r.Version.Pack(), w.partition)
	}
	return err
}

func (w *batchWriter) tableOf(r *stream.RowWrite) (*rowWriter, error) {
	if known := w.tables[r.Table]; known != nil {
		return known, nil
	}
	t := w.sink.table(r.Table)
	if t == nil {
		return nil, stream.Errorf(stream.Internal, w.sink.op("write to"), "table %q is not one of this target's", r.Table)
	}
	name := w.into(t)
	rows := &rowWriter{table: t, upsert: t.upsert(name), remove: t.remove(name), note: t.noteDelete()}
	w.tables[r.Table] = rows
	return rows, nil
}

// bind fills args with the row, in the order of columnList.
func (t *rowWriter) bind(partition int32, r *stream.RowWrite) error {
	var lineage any
	if r.Lineage != nil {
		lineage = string(r.Lineage)
	}
	t.args = append(t.args[:0], r.Document, r.Key, r.Version.Pack(), int64(partition), lineage)
	return t.bindColumns(r.Columns)
}
