package guard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Buckets is the least that a target can offer: named buckets of entries, each of which changes atomically. Directories of
// files, key-value stores, and object stores with conditional puts have it. All methods may be called concurrently, and
// errors are classed as stream.Sink says.
type Buckets interface {
	// Open connects; repeatable.
	Open(ctx context.Context) error
	// Update replaces the entry of a key by what change makes of it, atomically over all processes, and durably once it
	// returns. nil is no entry, before and after. change may be called again when another writer came between; when it
	// fails nothing happens, and Update's error wraps its error.
	Update(ctx context.Context, bucket, key string, change func(entry []byte) ([]byte, error)) error
	// Each visits the entries of a bucket, in any order: all that were there before it began. An absent bucket has none.
	// It ends with the first error of visit. visit calls nothing of the target.
	Each(ctx context.Context, bucket string, visit func(entry []byte) error) error
	Close() error
}

// books is the bucket of bookkeeping.
const books = "freshet"

// Page is an entry in a table's bucket: the rows of one document, as JSON.
type Page struct {
	Document string `json:"document"`
	// Rows are for readers: by key, a row's columns by name. Null, bool, int and string are as JSON has them; a value of another kind
	// is its text.
	Rows map[string]map[string]any `json:"rows"`
	// Held is Freshet's own, in CBOR: the items taken last, exactly, tombstones among them.
	Held []byte `json:"held"`
}

// OverBuckets returns a sink over buckets: one for each table, with a Page for each document under the document's ID, and
// "freshet" for bookkeeping. Scans go through whole tables, so it suits targets of some 100,000 documents. It does no I/O.
func OverBuckets(b Buckets, tables []Table, o Options) (*Sink, error) {
	s := &bucketStore{Buckets: b, columns: map[string][]stream.Field{}}
	for _, t := range tables {
		if t.As == books {
			return nil, stream.Errorf(stream.Usage, "configure a target", "table %s can't be kept in %q, where bookkeeping is; give it another name by "+
				"its setting `table`", t.Name, books)
		}
		s.columns[t.As] = t.Columns
	}
	return New(s, tables, o)
}

// TablesOf names each declared table in the target by its setting `table`, else by its own name.
func TablesOf(declared []stream.TargetTable) []Table {
	tables := make([]Table, len(declared))
	for n, t := range declared {
		tables[n] = Table{Table: t.Table, As: t.As()}
	}
	return tables
}

// bucketStore is a Store in buckets.
type bucketStore struct {
	Buckets
	columns map[string][]stream.Field // by the name in the target
}

func (s *bucketStore) Put(ctx context.Context, table string, items []Item) error {
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].Document == items[0].Document {
			n++
		}
		if err := s.alter(ctx, table, items[0].Document, func(held map[string]Item) { take(held, items[:n]) }); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

// take lets the items that win into what is held. Invariant 3: an older version loses.
func take(held map[string]Item, items []Item) {
	for _, i := range items {
		if was, found := held[i.Key]; !found || i.Beats(was) {
			held[i.Key] = i
		}
	}
}

// alter changes what is held of a document; with nothing left its page goes.
func (s *bucketStore) alter(ctx context.Context, table, document string, change func(held map[string]Item)) error {
	return s.Update(ctx, table, document, func(entry []byte) ([]byte, error) {
		held := map[string]Item{}
		if entry != nil {
			var err error
			if held, err = itemsOf(entry); err != nil {
				return nil, err
			}
		}
		change(held)
		if len(held) == 0 {
			return nil, nil
		}
		return newPage(document, s.columns[table], held)
	})
}

// newPage encodes the page of a document that holds the items, by key.
func newPage(document string, columns []stream.Field, held map[string]Item) ([]byte, error) {
	p := Page{Document: document, Rows: map[string]map[string]any{}}
	for key, i := range held {
		if i.Delete || len(i.Columns) != len(columns) {
			continue
		}
		p.Rows[key] = map[string]any{}
		for n, v := range i.Columns {
			p.Rows[key][columns[n].Name] = plain(v)
		}
	}
	var err error
	if p.Held, err = stream.Marshal(held); err != nil {
		return nil, err
	}
	return json.MarshalIndent(p, "", "  ")
}

func plain(v stream.Value) any {
	switch v.Kind() {
	case stream.Null:
		return nil
	case stream.Bool:
		return v.Bool()
	case stream.Int:
		return v.Int()
	case stream.String:
		return v.Str()
	}
	return v.String()
}

func itemsOf(entry []byte) (held map[string]Item, err error) {
	var p Page
	if err = json.Unmarshal(entry, &p); err == nil {
		err = stream.Unmarshal(p.Held, &held)
	}
	return held, err
}

// find returns the items of a table that fit, in order of document and key.
func (s *bucketStore) find(ctx context.Context, table string, fits func(Item) bool) (found []Item, err error) {
	err = s.Each(ctx, table, func(entry []byte) error {
		held, err := itemsOf(entry)
		for _, i := range held {
			if fits(i) {
				found = append(found, i)
			}
		}
		return err
	})
	slices.SortFunc(found, func(a, b Item) int { return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Key, b.Key)) })
	return found, err
}

func (s *bucketStore) Scan(ctx context.Context, table string, in Range, limit int) ([]Held, error) {
	items, err := s.find(ctx, table, func(i Item) bool { return !i.Delete && in.Has(i) })
	items = items[:min(len(items), limit)]
	held := make([]Held, len(items))
	for n, i := range items {
		held[n] = Held{RowID: i.RowID, Version: i.Version}
	}
	return held, err
}

func (s *bucketStore) Collect(ctx context.Context, table string, in Range, before time.Time) error {
	old := func(i Item) bool { return i.Delete && i.At.Before(before) && in.Has(i) }
	return s.remove(ctx, table, old)
}

// remove forgets the items of a table that fit, a document at a time.
func (s *bucketStore) remove(ctx context.Context, table string, fits func(Item) bool) error {
	items, err := s.find(ctx, table, fits)
	for _, i := range slices.CompactFunc(items, func(a, b Item) bool { return a.Document == b.Document }) {
		if err != nil {
			return err
		}
		err = s.alter(ctx, table, i.Document, func(held map[string]Item) {
			maps.DeleteFunc(held, func(_ string, i Item) bool { return fits(i) })
		})
	}
	return err
}

// Read leaves out what a drop that was cut short left of another declaration; the rebuild that follows removes it.
func (s *bucketStore) Read(ctx context.Context, table string, each func(Item) error) error {
	items, err := s.find(ctx, table, func(i Item) bool { return !i.Delete && len(i.Columns) == len(s.columns[table]) })
	for _, i := range items {
		if err != nil {
			return err
		}
		err = each(i)
	}
	return err
}

// errLook ends an Update that only looks.
var errLook = errors.New("nothing is to be changed")

func (s *bucketStore) Get(ctx context.Context, key string) (Document, error) {
	d := Document{Key: key}
	var unreadable error
	err := s.Update(ctx, books, key, func(entry []byte) ([]byte, error) {
		if d = (Document{Key: key}); entry != nil {
			unreadable = json.Unmarshal(entry, &d)
		}
		return nil, errLook
	})
	if errors.Is(err, errLook) {
		err = unreadable
	}
	return d, err
}

func (s *bucketStore) Swap(ctx context.Context, held Document, body []byte) (Document, error) {
	next := Document{Key: held.Key, Body: body, Sequence: held.Sequence + 1}
	err := s.Update(ctx, books, held.Key, func(entry []byte) ([]byte, error) {
		var now Document
		if entry != nil {
			if err := json.Unmarshal(entry, &now); err != nil {
				return nil, err
			}
		}
		if now.Sequence != held.Sequence {
			return nil, ErrConflict
		}
		return json.Marshal(next)
	})
	return next, err
}

func (s *bucketStore) List(ctx context.Context, prefix string) (docs []Document, err error) {
	err = s.Each(ctx, books, func(entry []byte) error {
		var d Document
		err := json.Unmarshal(entry, &d)
		if strings.HasPrefix(d.Key, prefix) {
			docs = append(docs, d)
		}
		return err
	})
	return docs, err
}
