package redis

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// books is the hash of guard's documents: "<sequence> <body>" by key.
func (s *store) books() string { return s.prefix + ":" + bookkeeping }

// Get reads a document. See guard.Documents.
func (s *store) Get(ctx context.Context, key string) (guard.Document, error) {
	text, err := s.do(ctx, s.client.B().Hget().Key(s.books()).Field(key).Build()).ToString()
	if rueidis.IsRedisNil(err) {
		return guard.Document{Key: key}, nil
	}
	if err != nil {
		return guard.Document{Key: key}, s.classed("read bookkeeping", err)
	}
	return documentOf(key, text)
}

func documentOf(key, text string) (guard.Document, error) {
	first, body, _ := strings.Cut(text, " ")
	sequence, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return guard.Document{}, stream.Errorf(stream.Usage, "redis: read bookkeeping", "document %s was altered by hand; undo that, or remove all keys of this prefix", key)
	}
	return guard.Document{Key: key, Body: []byte(body), Sequence: sequence}, nil
}

// Swap replaces a document by a script. Sequences are random: a server that is set back to an earlier state must not see one again that it has
// given away and forgotten. See guard.Documents.
func (s *store) Swap(ctx context.Context, held guard.Document, body []byte) (guard.Document, error) {
	next := guard.Document{Key: held.Key, Body: body, Sequence: 1 + rand.Int64N(1<<53-1)}
	n, err := s.run(ctx, "write bookkeeping", swapScript, []string{s.books()},
		[]string{held.Key, number(held.Sequence), number(next.Sequence), string(body)})
	switch {
	case err != nil:
		return held, err
	case n == 0:
		return held, fmt.Errorf("document %s: %w", held.Key, guard.ErrConflict)
	}
	return next, nil
}

// List returns the documents whose keys start with prefix, in order. See guard.Documents.
func (s *store) List(ctx context.Context, prefix string) (found []guard.Document, err error) {
	all, err := s.do(ctx, s.client.B().Hgetall().Key(s.books()).Build()).AsStrMap()
	if err != nil {
		return nil, s.classed("list bookkeeping", err)
	}
	for key, text := range all {
		if !strings.HasPrefix(key, prefix) {
			continue
		}
		d, err := documentOf(key, text)
		if err != nil {
			return nil, err
		}
		found = append(found, d)
	}
	slices.SortFunc(found, func(a, b guard.Document) int { return cmp.Compare(a.Key, b.Key) })
	return found, nil
}
