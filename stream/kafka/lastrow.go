package kafka

import (
	"bytes"
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// PlacedRow is a record of the rows topic and the partition that has it.
type PlacedRow struct {
	stream.RowWrite
	Partition int32
}

// LastRow reads the last record of a row of the table from a partition of the rows topic, of all partitions when it is -1, and the
// one before it that compaction has left; nil: there is none. It reads all that lies there: no index tells where a row is.
func (c Cluster) LastRow(ctx context.Context, t Topics, table stream.Table, id stream.RowID, partition int32) (last, before *PlacedRow, err error) {
	from := Ends{}
	for p := range t.Partitions {
		if partition >= 0 && p != partition {
			from[p] = math.MaxInt64
		}
	}
	key, tables := schemas.RowKey(id), map[string]stream.Table{table.Name: table}
	_, err = c.scanFrom(ctx, rowsTopic(t.Flow), from, func(r *kgo.Record) error {
		rec := fromKafka(r)
		if _, _, _, _, isRow := schemas.RowHeader(rec); !isRow || !bytes.Equal(r.Key, key) {
			return nil
		}
		row, _, _, err := schemas.DecodeRow(rec, tables)
		if err != nil {
			return unreadable(r, err)
		}
		row.Version = stream.Version{Generation: t.Generation.Generation, Offset: r.Offset}
		last, before = &PlacedRow{row, r.Partition}, last
		return nil
	})
	return last, before, err
}

// RowRecords calls each for every committed row record of documents, given with their partitions, deletes included: in the order of the
// rows topic, up to its end as of the call. The topic has so many partitions, of which only those with a document are read.
func (c Cluster) RowRecords(ctx context.Context, flow string, partitions int32, documents map[string]int32, each func(*stream.Record) error) error {
	from := Ends{}
	for p := range partitions {
		from[p] = math.MaxInt64
	}
	for _, p := range documents {
		delete(from, p)
	}
	_, err := c.scanFrom(ctx, rowsTopic(flow), from, func(r *kgo.Record) error {
		rec := fromKafka(r)
		if _, document, _, _, isRow := schemas.RowHeader(rec); isRow {
			if _, meant := documents[document]; meant {
				return each(rec)
			}
		}
		return nil
	})
	return err
}
