package qdrant

import (
	"context"
	"time"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

var _ guard.Store = (*store)(nil)

// strong has all writes of a point go by one replica.
func strong() *qdrant.WriteOrdering {
	return &qdrant.WriteOrdering{Type: qdrant.WriteOrderingType_Strong}
}

func (s *store) table(name string) (*table, error) {
	if t := s.tables[name]; t != nil {
		return t, nil
	}
	return nil, stream.Errorf(stream.Internal, "qdrant", "table %q is not one of this target's", name)
}

// guarded is what all items of one request have in common: Qdrant takes one filter for all.
type guarded struct {
	over, bound stream.Version
	epoch       int64
}

func guardOf(i guard.Item) guarded { return guarded{i.Over, i.Bound, i.Epoch} }

// filter is met by the points that the items may replace. Points that are absent are put whatever it says.
// Invariant 3: a point of a newer version is left alone.
func (g guarded) filter() *qdrant.Filter {
	return &qdrant.Filter{Should: []*qdrant.Condition{
		qdrant.NewRange(versionKey, &qdrant.Range{Lt: exactly(g.over.Pack())}),
		qdrant.NewFilterAsCondition(&qdrant.Filter{Must: []*qdrant.Condition{
			qdrant.NewRange(versionKey, &qdrant.Range{Lte: exactly(g.bound.Pack())}),
			qdrant.NewRange(epochKey, &qdrant.Range{Lte: exactly(g.epoch)}),
		}}),
		qdrant.NewIsEmpty(versionKey),
	}}
}

// exactly is n as a bound of a range, which is a double: versions and epochs are below 2^53.
func exactly(n int64) *float64 { return qdrant.PtrOf(float64(n)) }

// Put writes items, in one request where they have one condition. See guard.Rows.
func (s *store) Put(ctx context.Context, name string, items []guard.Item) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	for len(items) > 0 {
		g, n := guardOf(items[0]), 1
		for n < len(items) && guardOf(items[n]) == g {
			n++
		}
		points := make([]*qdrant.PointStruct, n)
		for i := range points {
			if points[i], err = t.point(items[i]); err != nil {
				return err
			}
		}
		_, err := s.client.Upsert(ctx, &qdrant.UpsertPoints{CollectionName: t.collection, Wait: qdrant.PtrOf(true),
			Ordering: strong(), Points: points, UpdateFilter: g.filter()})
		if err != nil {
			return classed("write points", err)
		}
		items = items[n:]
	}
	return nil
}

// conditions of a range; those of a modulo take more partitions than are meant, see meant.
func conditions(in guard.Range) []*qdrant.Condition {
	own := qdrant.NewMatchInt(partitionKey, int64(in.Partition))
	if in.Modulo > 0 {
		own = qdrant.NewFilterAsCondition(&qdrant.Filter{Should: []*qdrant.Condition{own,
			qdrant.NewRange(partitionKey, &qdrant.Range{Gte: exactly(int64(in.Modulo))})}})
	}
	all := []*qdrant.Condition{own, qdrant.NewRange(versionKey, &qdrant.Range{Gte: exactly(in.From.Pack()), Lt: exactly(in.Below.Pack())})}
	if in.Epoch > 0 {
		all = append(all, qdrant.NewRange(epochKey, &qdrant.Range{Lt: exactly(in.Epoch)}))
	}
	return all
}

// meant reports whether a partition belongs to a range.
func meant(in guard.Range, partition int64) bool {
	return in.Modulo == 0 || partition%int64(in.Modulo) == int64(in.Partition)
}

// Collect removes tombstones, of one partition: package guard collects no other ranges. See guard.Rows.
func (s *store) Collect(ctx context.Context, name string, in guard.Range, before time.Time) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	if in.Modulo > 0 {
		return stream.Errorf(stream.Internal, "qdrant: collect tombstones", "of several partitions at once")
	}
	old := append(conditions(in), qdrant.NewMatchBool(deletedKey, true), qdrant.NewRange(atKey, &qdrant.Range{Lt: exactly(before.UnixMilli())}))
	_, err = s.client.Delete(ctx, &qdrant.DeletePoints{CollectionName: t.collection, Wait: qdrant.PtrOf(true), Ordering: strong(),
		Points: qdrant.NewPointsSelectorFilter(&qdrant.Filter{Must: old})})
	return classed("collect tombstones", err)
}
