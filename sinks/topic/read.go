package topic

import (
	"context"

	"github.com/freshet-dev/freshet/stream"
)

// ReadRows calls each with the table's rows in order of (document, key), as of each partition's last stable offset when it
// begins. They are sorted on disk. A row that lies in two partitions, after the flow's partition count was changed, is what
// its higher version says. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, name string, each func(stream.RowWrite) error) error {
	const doing = "read"
	t := s.table(name)
	if t == nil {
		return stream.Errorf(stream.Usage, s.op(doing), "table %q is not one of this target's", name)
	}
	d, err := s.describe(ctx, t.topic)
	if err != nil {
		return s.classed(doing, err)
	}
	rows, err := s.sortRows(ctx, []*table{t}, upTo(d.partitions), true)
	if err != nil {
		return s.classed(doing, err)
	}
	defer rows.close()
	var best *entry
	give := func() error {
		if best == nil || best.Dead {
			return nil
		}
		r, err := s.row(t, best)
		if err != nil {
			return err
		}
		return each(r)
	}
	for e, err := range rows.all() {
		if err != nil {
			return s.classed(doing, err)
		}
		if best != nil && best.compareRow(e) == 0 {
			if e.Version >= best.Version {
				best = e
			}
			continue
		}
		if err := give(); err != nil {
			return err
		}
		best = e
	}
	return give()
}

// row is what an entry says.
func (s *Sink) row(t *table, e *entry) (stream.RowWrite, error) {
	refuse := func(why string, err error) (stream.RowWrite, error) {
		return stream.RowWrite{}, stream.Errorf(stream.Usage, s.op("read"), "record %d of %s/%d %s (%v); something else writes to this topic; "+
			"to remove it, run: freshet rebuild %s", e.Offset, t.topic, e.Partition, why, err, s.target)
	}
	if e.Foreign != nil {
		return refuse("is no row of this target", errKey)
	}
	columns, err := t.decode(e.Value)
	if err != nil {
		return refuse("can't be read", err)
	}
	r := stream.RowWrite{RowID: stream.RowID{Table: t.Name, Document: e.Document, Key: e.Key}, Version: stream.Unpack(e.Version), Columns: columns}
	for _, h := range e.Headers {
		if h.Key == headerLineage && len(h.Value) > 0 {
			r.Lineage = h.Value
		}
	}
	return r, nil
}
