package feast

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
)

// Documents are pages; their keys are listed in as many directories.
const (
	documentPage  = "document/"
	directoryPage = "documents/"
	directories   = 16
)

// shard spreads texts over so many pages.
func shard(text string, pages int) int {
	h := fnv.New32a()
	h.Write([]byte(text))
	return int(h.Sum32() % uint32(pages))
}

// Get reads a document. See guard.Documents.
func (s *store) Get(ctx context.Context, key string) (guard.Document, error) {
	p, err := s.pagesNamed(ctx, "read bookkeeping", []string{documentPage + key})
	if err != nil || p[0].sequence == 0 {
		return guard.Document{Key: key}, err
	}
	return documentOf(p[0]), nil
}

func documentOf(p page) guard.Document {
	return guard.Document{Key: strings.TrimPrefix(p.name, documentPage), Body: []byte(p.body), Sequence: p.sequence}
}

// Swap replaces a document if it is still the one that was read. Sequences are random: a store that is set back to an earlier state must not see one
// again that it has given away and forgotten. See guard.Documents.
func (s *store) Swap(ctx context.Context, held guard.Document, body []byte) (guard.Document, error) {
	const doing = "write bookkeeping"
	if held.Sequence == 0 {
		if err := s.enlist(ctx, held.Key); err != nil {
			return held, err
		}
	}
	p, err := s.pagesNamed(ctx, doing, []string{documentPage + held.Key})
	if err != nil {
		return held, err
	}
	conflict := fmt.Errorf("document %s: %w", held.Key, guard.ErrConflict)
	if p[0].sequence != held.Sequence {
		return held, conflict
	}
	p[0].body = string(body)
	in, sequence, err := s.replace(ctx, doing, p)
	switch {
	case err != nil:
		return held, err
	case !in[0]:
		return held, conflict
	}
	return guard.Document{Key: held.Key, Body: body, Sequence: sequence}, nil
}

// enlist makes a document's key known before there is one.
func (s *store) enlist(ctx context.Context, key string) error {
	name := fmt.Sprint(directoryPage, shard(key, directories))
	return s.revise(ctx, "write bookkeeping", []string{name}, func(name, body string) (string, bool, error) {
		keys, err := keysOf(name, body)
		if err != nil || slices.Contains(keys, key) {
			return "", false, err
		}
		text, err := json.Marshal(append(keys, key))
		return string(text), true, err
	})
}

func keysOf(name, body string) (keys []string, err error) {
	if body != "" {
		if err := json.Unmarshal([]byte(body), &keys); err != nil {
			return nil, damaged(name, err)
		}
	}
	return keys, nil
}

// List returns the documents whose keys start with prefix, in order. See guard.Documents.
func (s *store) List(ctx context.Context, prefix string) (all []guard.Document, err error) {
	const doing = "list bookkeeping"
	names := make([]string, directories)
	for n := range names {
		names[n] = fmt.Sprint(directoryPage, n)
	}
	lists, err := s.pagesNamed(ctx, doing, names)
	if err != nil {
		return nil, err
	}
	names = nil
	for _, p := range lists {
		keys, err := keysOf(p.name, p.body)
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				names = append(names, documentPage+key)
			}
		}
	}
	pages, err := s.pagesNamed(ctx, doing, names)
	for _, p := range pages {
		if p.sequence != 0 {
			all = append(all, documentOf(p))
		}
	}
	slices.SortFunc(all, func(a, b guard.Document) int { return cmp.Compare(a.Key, b.Key) })
	return all, err
}
