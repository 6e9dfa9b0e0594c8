package qdrant

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/guard"
)

// bookkeeping is the collection of guard's documents: a point for each, payload `_name`, `_body`, `_sequence`.
const (
	bookkeeping = "_freshet"
	nameKey     = "_name"
	bodyKey     = "_body"
	sequenceKey = "_sequence"
)

func (s *store) books() string { return s.prefix + bookkeeping }

func (s *store) createBookkeeping(ctx context.Context) error {
	if err := s.createCollection(ctx, &qdrant.CreateCollection{CollectionName: s.books()}); err != nil {
		return err
	}
	return s.createIndex(ctx, s.books(), sequenceKey, qdrant.FieldType_FieldTypeInteger)
}

func documentID(name string) *qdrant.PointId {
	return qdrant.NewIDUUID(uuid.NewSHA1(namespace, []byte(name)).String())
}

func documentOf(name string, payload map[string]*qdrant.Value) guard.Document {
	return guard.Document{Key: name, Body: []byte(payload[bodyKey].GetStringValue()), Sequence: payload[sequenceKey].GetIntegerValue()}
}

// Get reads a document. See guard.Documents.
func (s *store) Get(ctx context.Context, name string) (guard.Document, error) {
	points, err := s.client.Get(ctx, &qdrant.GetPoints{CollectionName: s.books(), Ids: []*qdrant.PointId{documentID(name)},
		WithPayload: qdrant.NewWithPayload(true), WithVectors: qdrant.NewWithVectors(false), ReadConsistency: majority()})
	if err != nil || len(points) == 0 {
		return guard.Document{Key: name}, classed("read bookkeeping", err)
	}
	return documentOf(name, points[0].GetPayload()), nil
}

// Swap replaces a document: an upsert under the condition that the sequence is the one held. The server does not say
// whether it was met, so the document is read again. Sequences are random, so that one of ours there means that ours was
// met. Race: another swap may come between ours and that reading; then this one counts as a conflict, and whoever asked
// reads what there is and goes on from it. See guard.Documents.
func (s *store) Swap(ctx context.Context, held guard.Document, body []byte) (guard.Document, error) {
	next := guard.Document{Key: held.Key, Body: body, Sequence: 1 + rand.Int64N(1<<53-1)}
	_, err := s.client.Upsert(ctx, &qdrant.UpsertPoints{CollectionName: s.books(), Wait: qdrant.PtrOf(true), Ordering: strong(),
		UpdateFilter: &qdrant.Filter{Must: []*qdrant.Condition{qdrant.NewMatchInt(sequenceKey, held.Sequence)}},
		Points: []*qdrant.PointStruct{{Id: documentID(held.Key), Vectors: qdrant.NewVectorsMap(nil), Payload: map[string]*qdrant.Value{
			nameKey: qdrant.NewValueString(held.Key), bodyKey: qdrant.NewValueString(string(body)), sequenceKey: qdrant.NewValueInt(next.Sequence)}}}})
	if err != nil {
		return held, classed("write bookkeeping", err)
	}
	now, err := s.Get(ctx, held.Key)
	if err == nil && now.Sequence != next.Sequence {
		err = guard.ErrConflict
	}
	if err != nil {
		return held, err
	}
	return next, nil
}

// List returns the documents whose names start with prefix, in order. See guard.Documents.
func (s *store) List(ctx context.Context, prefix string) (found []guard.Document, err error) {
	err = s.pages(ctx, s.books(), nil, []string{nameKey, bodyKey, sequenceKey}, func(p *qdrant.RetrievedPoint) bool {
		if name := p.Payload[nameKey].GetStringValue(); strings.HasPrefix(name, prefix) {
			found = append(found, documentOf(name, p.Payload))
		}
		return true
	})
	slices.SortFunc(found, func(a, b guard.Document) int { return cmp.Compare(a.Key, b.Key) })
	return found, err
}
