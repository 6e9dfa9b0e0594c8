package qdrant

import (
	"cmp"
	"context"
	"slices"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Points in one answer: of their identities, and of whole rows.
const (
	identityPage = 1000
	rowPage      = 64
)

// alive is met by rows, and not by tombstones: only those have the key.
func alive(more ...*qdrant.Condition) *qdrant.Filter {
	return &qdrant.Filter{Must: append(more, qdrant.NewIsEmpty(deletedKey))}
}

// majority has a cluster's replicas agree on what is read.
func majority() *qdrant.ReadConsistency {
	return qdrant.NewReadConsistencyType(qdrant.ReadConsistencyType_Majority)
}

// pages goes through the points of a collection that a filter selects, with the keys of their payload that are named, until
// each returns false.
func (s *store) pages(ctx context.Context, collection string, where *qdrant.Filter, keys []string, each func(*qdrant.RetrievedPoint) bool) error {
	ask := &qdrant.ScrollPoints{CollectionName: collection, Filter: where, Limit: qdrant.PtrOf(uint32(identityPage)),
		WithPayload: qdrant.NewWithPayloadInclude(keys...), WithVectors: qdrant.NewWithVectors(false), ReadConsistency: majority()}
	for {
		points, next, err := s.client.ScrollAndOffset(ctx, ask)
		if err != nil {
			return classed("scroll", err)
		}
		for _, p := range points {
			if !each(p) {
				return nil
			}
		}
		if next == nil {
			return nil
		}
		ask.Offset = next
	}
}

// Scan looks rows of a range up. See guard.Rows. A point under another ID than its row's was not written by this flow, and
// no put reaches it: it is deleted, since what is scanned is to go.
func (s *store) Scan(ctx context.Context, name string, in guard.Range, limit int) ([]guard.Held, error) {
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	var held []guard.Held
	var strangers []*qdrant.PointId
	keys := []string{documentKey, keyKey, versionKey, partitionKey}
	err = s.pages(ctx, t.collection, alive(conditions(in)...), keys, func(p *qdrant.RetrievedPoint) bool {
		if !meant(in, p.Payload[partitionKey].GetIntegerValue()) {
			return true
		}
		row := stream.RowID{Table: name, Document: p.Payload[documentKey].GetStringValue(), Key: p.Payload[keyKey].GetStringValue()}
		if p.Id.GetUuid() != pointID(t.As, row.Document, row.Key).GetUuid() {
			strangers = append(strangers, p.Id)
			return true
		}
		held = append(held, guard.Held{Version: stream.Unpack(p.Payload[versionKey].GetIntegerValue()), RowID: row})
		return len(held) < limit
	})
	if err != nil || len(strangers) == 0 {
		return held, err
	}
	_, err = s.client.Delete(ctx, &qdrant.DeletePoints{CollectionName: t.collection, Wait: qdrant.PtrOf(true), Ordering: strong(),
		Points: qdrant.NewPointsSelector(strangers...)})
	return held, classed("delete points under other IDs", err)
}

// identity is a point with what it is ordered by.
type identity struct {
	id            string
	document, key string
}

// Read reads a table, in order of (document, key): the identities of all rows first, which it keeps in memory, then rows
// page by page. A row that is deleted meanwhile is left out, one that is new is not seen. See guard.Reader.
func (s *store) Read(ctx context.Context, name string, each func(guard.Item) error) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	var all []identity
	err = s.pages(ctx, t.collection, alive(), []string{documentKey, keyKey}, func(p *qdrant.RetrievedPoint) bool {
		all = append(all, identity{p.GetId().GetUuid(), p.Payload[documentKey].GetStringValue(), p.Payload[keyKey].GetStringValue()})
		return true
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b identity) int { return cmp.Or(cmp.Compare(a.document, b.document), cmp.Compare(a.key, b.key)) })
	for page := range slices.Chunk(all, rowPage) {
		if err := s.readPage(ctx, t, page, each); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) readPage(ctx context.Context, t *table, page []identity, each func(guard.Item) error) error {
	ids := make([]*qdrant.PointId, len(page))
	for n, i := range page {
		ids[n] = qdrant.NewIDUUID(i.id)
	}
	points, err := s.client.Get(ctx, &qdrant.GetPoints{CollectionName: t.collection, Ids: ids, WithPayload: qdrant.NewWithPayload(true),
		WithVectors: qdrant.NewWithVectors(true), ReadConsistency: majority()})
	if err != nil {
		return classed("read points", err)
	}
	found := map[string]*qdrant.RetrievedPoint{} // answers come in no order
	for _, p := range points {
		found[p.GetId().GetUuid()] = p
	}
	for _, i := range page {
		p := found[i.id]
		if p == nil || p.Payload[deletedKey].GetBoolValue() {
			continue
		}
		item, err := t.row(p.Payload, p.GetVectors().GetVectors().GetVectors())
		if err == nil {
			err = each(item)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
