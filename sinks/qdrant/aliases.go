package qdrant

import (
	"context"
	"maps"
	"slices"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/guard"
)

var _ guard.Fronts = (*store)(nil)

// Front implements guard.Fronts: a front is an alias.
func (s *store) Front(ctx context.Context, front string) (table string, taken bool, err error) {
	aliases, err := s.client.ListAliases(ctx)
	if err != nil {
		return "", false, classed("list aliases", err)
	}
	for _, a := range aliases {
		if a.GetAliasName() == s.prefix+front {
			return a.GetCollectionName()[min(len(s.prefix), len(a.GetCollectionName())):], false, nil
		}
	}
	names, err := s.client.ListCollections(ctx)
	return "", slices.Contains(names, s.prefix+front), classed("list collections", err)
}

// Switch implements guard.Fronts, by one request.
func (s *store) Switch(ctx context.Context, tables map[string]string) error {
	var actions []*qdrant.AliasOperations
	for _, front := range slices.Sorted(maps.Keys(tables)) {
		actions = append(actions, qdrant.NewAliasDelete(s.prefix+front), qdrant.NewAliasCreate(s.prefix+front, s.prefix+tables[front]))
	}
	return classed("switch aliases", s.client.UpdateAliases(ctx, actions))
}
