package opensearch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// creation is the request that makes an index with its alias, in one step.
type creation struct {
	index    string
	Settings indexSettings     `json:"settings"`
	Aliases  map[string]filter `json:"aliases"`
	Mappings property          `json:"mappings"`
}

// indexSettings are those that matter for what is promised, and those that are chosen.
type indexSettings struct {
	Durability string `json:"index.translog.durability"`
	GCDeletes  string `json:"index.gc_deletes"`
	KNN        bool   `json:"index.knn,omitempty"`
	Fields     int    `json:"index.mapping.total_fields.limit,omitempty"`
	Shards     int    `json:"index.number_of_shards,omitempty"`
	Replicas   *int   `json:"index.number_of_replicas,omitempty"`
}

// filter is what an alias shows.
type filter struct {
	Filter json.RawMessage `json:"filter,omitempty"`
}

// alive is met by rows, and not by tombstones.
const alive = `{"bool":{"must_not":[{"term":{"_freshet.deleted":true}}]}}`

// promised has a write on disk before it is answered, and deletes forgotten: tombstones are documents of ours, and a row that somebody deleted by
// hand has to be writable at once.
func promised() indexSettings { return indexSettings{Durability: "request", GCDeletes: "0s"} }

// creation of a table.
func (t *table) creation() creation {
	c := creation{index: t.index, Settings: promised(), Mappings: t.mapping(), Aliases: map[string]filter{t.alias: {json.RawMessage(alive)}}}
	c.Settings.KNN, c.Settings.Shards, c.Settings.Replicas = t.hasVectors(), t.shards, &t.replicas
	c.Settings.Fields = max(1000, 2*len(t.columns)+100)
	return c
}

// create makes an index that is absent; a twin may be faster.
func (s *store) create(ctx context.Context, c creation) error {
	there, err := s.exists(ctx, c.index)
	if err != nil || there {
		return err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	err = s.do(ctx, request{doing: "make an index", method: http.MethodPut, path: []string{c.index}, body: body}, nil)
	if err == nil {
		return nil
	}
	if there, again := s.exists(ctx, c.index); again == nil && there {
		return nil
	}
	return err
}

// exists reports whether a name is taken, by an index or an alias.
func (s *store) exists(ctx context.Context, name string) (bool, error) {
	err := s.do(ctx, request{doing: "look for an index", method: http.MethodHead, path: []string{name}}, nil)
	if isStatus(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Create makes a table's index. See guard.Tables.
func (s *store) Create(ctx context.Context, kept guard.Table) error {
	t, err := s.table(kept.As)
	if err != nil {
		return err
	}
	return s.create(ctx, t.creation())
}

// Drop removes an index, with its aliases, if it exists. See guard.Tables.
func (s *store) Drop(ctx context.Context, name string) error {
	err := s.do(ctx, request{doing: "drop an index", method: http.MethodDelete, path: []string{indexOf(s.prefix + escaped(name))}}, nil)
	if isStatus(err, http.StatusNotFound) {
		return nil
	}
	return err
}

// held is an index as the server describes it.
type held struct {
	Aliases  map[string]filter
	Mappings property
	Settings struct {
		Index struct {
			GCDeletes string `json:"gc_deletes"`
			Shards    string `json:"number_of_shards"`
			Translog  struct{ Durability string }
		}
	}
}

// Shape describes an index: its fields, its alias and the settings that promises rest on. What only tunes it, a server may
// change. A name that something else has is a table of strangers. See guard.Tables.
func (s *store) Shape(ctx context.Context, name string) (shape string, exists bool, err error) {
	t, err := s.table(name)
	if err != nil {
		return "", false, err
	}
	var all map[string]held
	err = s.do(ctx, request{doing: "look at an index", method: http.MethodGet, path: []string{t.index}}, &all)
	if isStatus(err, http.StatusNotFound) {
		taken, err := s.exists(ctx, t.alias)
		return "an index or alias of something else, named " + t.alias, taken, err
	}
	if err != nil {
		return "", false, err
	}
	h, found := all[t.index]
	if !found {
		return "an alias of something else, named " + t.index, true, nil
	}
	return h.describe(t.alias), true, nil
}

func (h held) describe(alias string) string {
	i := h.Settings.Index
	parts := append(h.Mappings.described(""), fmt.Sprintf("%s shards, durability %s, gc_deletes %s", i.Shards, i.Translog.Durability, i.GCDeletes))
	switch _, found := h.Aliases[alias]; {
	case !found:
		parts = append(parts, "no alias "+alias)
	case !h.aliveBy(alias):
		parts = append(parts, "alias without its filter")
	}
	return "dynamic " + h.Mappings.Dynamic + ", " + strings.Join(parts, ", ")
}

// aliveBy reports whether an alias of the index leaves tombstones out.
func (h held) aliveBy(alias string) bool {
	return strings.Contains(string(h.Aliases[alias].Filter), `"_freshet.deleted"`)
}

func (s *store) table(name string) (*table, error) {
	if t := s.tables[name]; t != nil {
		return t, nil
	}
	return nil, stream.Errorf(stream.Internal, "opensearch", "table %q is not one of this target's", name)
}
