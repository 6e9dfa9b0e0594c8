package qdrant

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// ownIndexes are the payload indexes of a new collection for this sink's own conditions. That of tombstones is small, and finds those to
// collect. The others cost a quarter of the rate of writing and serve what is rare, so they are made only where the server refuses
// conditions without them: its strict mode, on by default in Qdrant Cloud.
func ownIndexes(strict *qdrant.StrictModeConfig) map[string]qdrant.FieldType {
	own := map[string]qdrant.FieldType{deletedKey: qdrant.FieldType_FieldTypeBool}
	if refuses := func(allowed *bool) bool { return allowed != nil && !*allowed }; strict.GetEnabled() &&
		(refuses(strict.UnindexedFilteringRetrieve) || refuses(strict.UnindexedFilteringUpdate)) {
		for _, key := range []string{versionKey, epochKey, partitionKey, atKey} {
			own[key] = qdrant.FieldType_FieldTypeInteger
		}
	}
	return own
}

// Shape describes a collection: its vectors and payload indexes. What only tunes it, a server may change. See guard.Tables.
func (s *store) Shape(ctx context.Context, name string) (shape string, exists bool, err error) {
	t, err := s.table(name)
	if err != nil {
		return "", false, err
	}
	exists, err = s.client.CollectionExists(ctx, t.collection)
	if err != nil || !exists {
		return "", false, classed("look for a collection", err)
	}
	info, err := s.client.GetCollectionInfo(ctx, t.collection)
	if err != nil {
		return "", false, classed("look at a collection", err)
	}
	return shapeOf(info), true, nil
}

func shapeOf(info *qdrant.CollectionInfo) string {
	var parts []string
	params := info.GetConfig().GetParams()
	if one := params.GetVectorsConfig().GetParams(); one != nil {
		parts = append(parts, "vector without a name")
	}
	dense := params.GetVectorsConfig().GetParamsMap().GetMap()
	for _, n := range slices.Sorted(maps.Keys(dense)) {
		p := dense[n]
		multi := ""
		if p.GetMultivectorConfig() != nil {
			multi = "multi"
		}
		element := "f32"
		if d := p.GetDatatype(); d != qdrant.Datatype_Default && d != qdrant.Datatype_Float32 {
			element = strings.ToLower(d.String())
		}
		parts = append(parts, fmt.Sprintf("%svector %q (%s, %d, %s)", multi, unescaped(n), element, p.GetSize(), strings.ToLower(p.GetDistance().String())))
	}
	for _, n := range slices.Sorted(maps.Keys(params.GetSparseVectorsConfig().GetMap())) {
		parts = append(parts, fmt.Sprintf("sparse vector %q", unescaped(n)))
	}
	indexes := info.GetPayloadSchema()
	for _, n := range slices.Sorted(maps.Keys(indexes)) {
		parts = append(parts, fmt.Sprintf("index %q %s", n, strings.ToLower(indexes[n].GetDataType().String())))
	}
	return strings.Join(parts, ", ")
}

// Create makes a table's collection and completes its indexes. See guard.Tables.
func (s *store) Create(ctx context.Context, kept guard.Table) error {
	t, err := s.table(kept.As)
	if err != nil {
		return err
	}
	if err := s.createCollection(ctx, t.creation()); err != nil {
		return err
	}
	info, err := s.client.GetCollectionInfo(ctx, t.collection)
	if err != nil {
		return classed("look at a collection", err)
	}
	for _, indexes := range []map[string]qdrant.FieldType{ownIndexes(info.GetConfig().GetStrictModeConfig()), t.indexes} {
		for _, key := range slices.Sorted(maps.Keys(indexes)) {
			if err := s.createIndex(ctx, t.collection, key, indexes[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// creation is the request that makes the collection.
func (t *table) creation() *qdrant.CreateCollection {
	dense, sparse := map[string]*qdrant.VectorParams{}, map[string]*qdrant.SparseVectorParams{}
	for _, c := range t.Columns {
		name := escaped(c.Name)
		switch c.Type.Kind {
		case stream.Vector:
			dense[name] = &qdrant.VectorParams{Size: uint64(c.Type.Dims), Distance: t.distance}
			if c.Type.Element == stream.F16 {
				dense[name].Datatype = qdrant.Datatype_Float16.Enum()
			}
		case stream.MultiVector:
			dense[name] = &qdrant.VectorParams{Size: uint64(c.Type.Dims), Distance: t.distance,
				MultivectorConfig: &qdrant.MultiVectorConfig{Comparator: qdrant.MultiVectorComparator_MaxSim}}
		case stream.Sparse:
			sparse[name] = &qdrant.SparseVectorParams{}
		}
	}
	request := &qdrant.CreateCollection{CollectionName: t.collection, HnswConfig: t.hnsw, VectorsConfig: qdrant.NewVectorsConfigMap(dense),
		OnDiskPayload: qdrant.PtrOf(true)}
	if len(sparse) > 0 {
		request.SparseVectorsConfig = qdrant.NewSparseVectorsConfig(sparse)
	}
	switch t.quantization {
	case "scalar":
		request.QuantizationConfig = qdrant.NewQuantizationScalar(&qdrant.ScalarQuantization{Type: qdrant.QuantizationType_Int8})
	case "binary":
		request.QuantizationConfig = qdrant.NewQuantizationBinary(&qdrant.BinaryQuantization{})
	}
	return request
}

// createCollection makes a collection that is absent; a twin may be faster.
func (s *store) createCollection(ctx context.Context, request *qdrant.CreateCollection) error {
	exists, err := s.client.CollectionExists(ctx, request.GetCollectionName())
	if err != nil || exists {
		return classed("look for a collection", err)
	}
	err = s.client.CreateCollection(ctx, request)
	if err == nil {
		return nil
	}
	if exists, again := s.client.CollectionExists(ctx, request.GetCollectionName()); again == nil && exists {
		return nil
	}
	return classed("create a collection", err)
}

func (s *store) createIndex(ctx context.Context, collection, key string, kind qdrant.FieldType) error {
	_, err := s.client.CreateFieldIndex(ctx, &qdrant.CreateFieldIndexCollection{CollectionName: collection, FieldName: key,
		FieldType: kind.Enum(), Wait: qdrant.PtrOf(true), Ordering: strong()})
	return classed("create an index", err)
}

// Drop removes a collection if it exists. See guard.Tables.
func (s *store) Drop(ctx context.Context, name string) error {
	exists, err := s.client.CollectionExists(ctx, s.prefix+name)
	if err == nil && exists {
		err = s.client.DeleteCollection(ctx, s.prefix+name)
	}
	return classed("drop a collection", err)
}
