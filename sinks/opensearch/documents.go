package opensearch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
)

// entry is one of guard's documents as it lies in the index of bookkeeping.
type entry struct {
	Name     string `json:"name"`
	Body     string `json:"body"`
	Sequence int64  `json:"sequence"`
}

func (s *store) books() string { return s.prefix + bookkeeping }

// booksRequest makes the index of bookkeeping.
func booksRequest(alias string) creation {
	return creation{index: indexOf(alias), Settings: promised(), Aliases: map[string]filter{alias: {}}, Mappings: property{Dynamic: strict,
		Properties: map[string]property{"name": {Type: "keyword"}, "body": kept(), "sequence": {Type: "long"}}}}
}

// look reads a document and where it stands.
func (s *store) look(ctx context.Context, name string) (guard.Document, hit, error) {
	d := guard.Document{Key: name}
	hits, err := s.get(ctx, "read bookkeeping", indexOf(s.books()), []string{rowID(name, "")}, nil)
	if err != nil || !hits[0].Found {
		return d, hit{}, err
	}
	d, err = documentOf(hits[0])
	return d, hits[0], err
}

func documentOf(h hit) (d guard.Document, err error) {
	text, err := json.Marshal(h.Source)
	var e entry
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	return guard.Document{Key: e.Name, Body: []byte(e.Body), Sequence: e.Sequence}, err
}

// Get reads a document. See guard.Documents.
func (s *store) Get(ctx context.Context, name string) (guard.Document, error) {
	d, _, err := s.look(ctx, name)
	return d, err
}

// Swap replaces a document if it is still the one that was read. Sequences are random: an index that is set back to an
// earlier state must not see one again that it has given away and forgotten. See guard.Documents.
func (s *store) Swap(ctx context.Context, held guard.Document, body []byte) (guard.Document, error) {
	const doing = "write bookkeeping"
	now, at, err := s.look(ctx, held.Key)
	if err != nil {
		return held, err
	}
	if now.Sequence != held.Sequence {
		return held, fmt.Errorf("document %s: %w", held.Key, guard.ErrConflict)
	}
	next := guard.Document{Key: held.Key, Body: body, Sequence: 1 + rand.Int64N(1<<53-1)}
	a := action{Create: &target{ID: rowID(held.Key, "")}}
	if at.Found {
		a = action{Index: unchanged(at)}
	}
	if a.document, err = json.Marshal(entry{next.Key, string(body), next.Sequence}); err != nil {
		return held, err
	}
	outcomes, err := s.bulk(ctx, doing, s.books(), []action{a})
	if err != nil {
		return held, err
	}
	done, err := s.done(doing, outcomes[0])
	if err == nil && !done {
		err = fmt.Errorf("document %s: %w", held.Key, guard.ErrConflict)
	}
	if err != nil {
		return held, err
	}
	return next, nil
}

// List returns the documents whose names start with prefix, in order. See guard.Documents.
func (s *store) List(ctx context.Context, prefix string) (all []guard.Document, err error) {
	err = s.all(ctx, "list bookkeeping", indexOf(s.books()), `"sort":["_doc"]`, 1000, func(h hit) error {
		d, err := documentOf(h)
		if strings.HasPrefix(d.Key, prefix) {
			all = append(all, d)
		}
		return err
	})
	slices.SortFunc(all, func(a, b guard.Document) int { return cmp.Compare(a.Key, b.Key) })
	return all, err
}
