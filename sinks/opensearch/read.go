package opensearch

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Documents in one answer of those that are read as a whole.
const rowPage = 200

// refresh makes all that was written so far visible to searches.
func (s *store) refresh(ctx context.Context, index string) error {
	return s.do(ctx, request{doing: "refresh an index", method: http.MethodPost, path: []string{index, "_refresh"}}, nil)
}

// found is the answer of a search.
type found struct {
	Scroll   string `json:"_scroll_id"`
	TimedOut bool   `json:"timed_out"`
	Shards   struct{ Failed int }
	Hits     struct{ Hits []hit }
	Groups   struct {
		Partitions struct{ Buckets []struct{ Key int64 } }
	} `json:"aggregations"`
}

// search asks once. An answer of some shards only is a failure.
func (s *store) search(ctx context.Context, doing string, path []string, query, body string) (f found, err error) {
	err = s.do(ctx, request{doing: doing, method: http.MethodPost, path: path, query: query, body: []byte(body)}, &f)
	if err == nil && (f.TimedOut || f.Shards.Failed > 0) {
		err = stream.Errorf(stream.Transient, "opensearch: "+doing, "%d shards did not answer", f.Shards.Failed)
	}
	return f, err
}

// all goes through the documents that a search finds, so many in an answer, as they were when it began.
func (s *store) all(ctx context.Context, doing, index, query string, page int, each func(hit) error) error {
	if err := s.refresh(ctx, index); err != nil {
		return err
	}
	path, query := []string{index, "_search"}, fmt.Sprintf(`{"size":%d,%s}`, page, query)
	f, err := s.search(ctx, doing, path, "allow_partial_search_results=false", query)
	if err != nil || len(f.Hits.Hits) < page {
		return visit(f, err, each)
	}
	f, err = s.search(ctx, doing, path, "scroll=5m&allow_partial_search_results=false", query)
	if err != nil {
		return err
	}
	defer func() { s.endScroll(ctx, f.Scroll) }()
	for len(f.Hits.Hits) > 0 {
		if err := visit(f, nil, each); err != nil {
			return err
		}
		next, err := s.search(ctx, doing, []string{"_search", "scroll"}, "", fmt.Sprintf(`{"scroll":"5m","scroll_id":%q}`, f.Scroll))
		if err != nil {
			return err
		}
		f = next
	}
	return nil
}

func visit(f found, err error, each func(hit) error) error {
	for _, h := range f.Hits.Hits {
		if err == nil {
			err = each(h)
		}
	}
	return err
}

// endScroll lets the server forget a search; it does so by itself after a while.
func (s *store) endScroll(ctx context.Context, id string) {
	_ = s.do(context.WithoutCancel(ctx), request{doing: "end a search", method: http.MethodDelete, path: []string{"_search", "scroll"},
		body: fmt.Appendf(nil, `{"scroll_id":%q}`, id)}, nil)
}

// Read reads a table in order of (document, key), as it was when reading began. See guard.Reader.
func (s *store) Read(ctx context.Context, name string, each func(guard.Item) error) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	const order = `"sort":[{"_freshet.document":{"missing":"_first"}},{"_freshet.key":{"missing":"_first"}}]`
	return s.all(ctx, "read rows", t.index, `"query":`+alive+`,`+order, rowPage, func(h hit) error { return each(t.row(h.Source)) })
}

// Scan looks rows of a range up. See guard.Rows. A document under another ID than its row's was not written by this flow, and no
// put reaches it: it is deleted, since what is scanned is to go.
func (s *store) Scan(ctx context.Context, name string, in guard.Range, limit int) (rows []guard.Held, err error) {
	t, err := s.table(name)
	if err != nil {
		return nil, err
	}
	for {
		if err := s.refresh(ctx, t.index); err != nil {
			return nil, err
		}
		hits, err := s.inRange(ctx, t, in, alive, limit)
		if err != nil {
			return nil, err
		}
		var strangers []hit
		rows = rows[:0]
		for _, h := range hits {
			o := h.Source.own()
			if rowID(o.Document, o.Key) != h.ID {
				strangers = append(strangers, h)
				continue
			}
			rows = append(rows, guard.Held{RowID: stream.RowID{Table: name, Document: o.Document, Key: o.Key}, Version: stream.Unpack(o.Version)})
		}
		if len(strangers) == 0 {
			return rows, nil
		}
		if removed, err := s.remove(ctx, t, strangers); err != nil || removed == 0 || len(rows) > 0 {
			return rows, err
		}
	}
}

// inRange returns up to limit documents of a range that meet a condition besides; the index is to be refreshed.
func (s *store) inRange(ctx context.Context, t *table, in guard.Range, also string, limit int) ([]hit, error) {
	const doing = "look for rows"
	path := []string{t.index, "_search"}
	partitions := []string{fmt.Sprint(in.Partition)}
	if in.Modulo > 0 {
		f, err := s.search(ctx, doing, path, "", `{"size":0,"aggs":{"partitions":{"terms":{"field":"_freshet.partition","size":10000}}}}`)
		if err != nil {
			return nil, err
		}
		for _, b := range f.Groups.Partitions.Buckets {
			if b.Key != int64(in.Partition) && b.Key%int64(in.Modulo) == int64(in.Partition) {
				partitions = append(partitions, fmt.Sprint(b.Key))
			}
		}
	}
	where := fmt.Sprintf(`{"terms":{"_freshet.partition":[%s]}},{"range":{"_freshet.version":{"gte":%d,"lt":%d}}}`,
		strings.Join(partitions, ","), in.From.Pack(), in.Below.Pack())
	if in.Epoch > 0 {
		where += fmt.Sprintf(`,{"range":{"_freshet.epoch":{"lt":%d}}}`, in.Epoch)
	}
	f, err := s.search(ctx, doing, path, "allow_partial_search_results=false", fmt.Sprintf(
		`{"size":%d,"query":{"bool":{"filter":[%s,%s]}},"_source":["%s.*"],"seq_no_primary_term":true}`, limit, where, also, ownField))
	return f.Hits.Hits, err
}
