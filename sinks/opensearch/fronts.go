package opensearch

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
)

var _ guard.Fronts = (*store)(nil)

// frontOf names the alias that a front is: the filtered one of an edition's index beside the one that is written by.
func (s *store) frontOf(front string) string { return s.prefix + escaped(front) }

// Front implements guard.Fronts: a front is an alias. One that was altered by hand shows no table that is declared.
func (s *store) Front(ctx context.Context, front string) (table string, taken bool, err error) {
	alias := s.frontOf(front)
	var indexes map[string]held
	err = s.do(ctx, request{doing: "look at an alias", method: http.MethodGet, path: []string{"_alias", alias}}, &indexes)
	if isStatus(err, http.StatusNotFound) {
		taken, err = s.exists(ctx, alias)
		return "", taken, err
	}
	if err != nil {
		return "", false, err
	}
	names := slices.Sorted(maps.Keys(indexes))
	for _, t := range s.tables {
		h, found := indexes[t.index]
		if found && len(names) == 1 && h.aliveBy(alias) {
			return t.As, false, nil
		}
	}
	return "index " + strings.Join(names, " and "), false, nil
}

// aliasAction is one action of a request that changes aliases.
type aliasAction struct {
	Remove *aliased `json:"remove,omitempty"`
	Add    *aliased `json:"add,omitempty"`
}

type aliased struct {
	Index  string          `json:"index"`
	Alias  string          `json:"alias"`
	Filter json.RawMessage `json:"filter,omitempty"`
}

// Switch implements guard.Fronts, by one request. What is shown next is refreshed before, so that readers don't miss the rows of the
// last second, which they saw in the other.
func (s *store) Switch(ctx context.Context, tables map[string]string) error {
	var body struct {
		Actions []aliasAction `json:"actions"`
	}
	for _, front := range slices.Sorted(maps.Keys(tables)) {
		t, err := s.table(tables[front])
		if err != nil {
			return err
		}
		if err := s.refresh(ctx, t.index); err != nil {
			return err
		}
		alias := s.frontOf(front)
		body.Actions = append(body.Actions, aliasAction{Remove: &aliased{Index: alias + "__*", Alias: alias}},
			aliasAction{Add: &aliased{t.index, alias, json.RawMessage(alive)}})
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.do(ctx, request{doing: "switch aliases", method: http.MethodPost, path: []string{"_aliases"}, body: text}, nil)
}
