package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// book is the program under test. A document has the fields title, body (words) and note, which nothing reads. It has one
// row in the table pages, and one row in the table words for each different word, in capitals.
type book struct {
	version  int // part of the logic
	suffix   string
	noWords  bool // the program has no table words
	metadata bool // formulas read the record's key
	left     bool // the source of the documents left the flow
	shout    *stream.Node
}

func newBook(version int, op stream.Operator) *book {
	b := &book{version: version, suffix: strings.Repeat("!", version-1)}
	b.shout = &stream.Node{Name: "shout", Operator: op, Costly: true, Memo: stream.FingerprintBytes([]byte("shout"))}
	return b
}

// HasSource reports whether the documents' source is there.
func (b *book) HasSource(name string) bool { return name == "book" && !b.left }

func (b *book) Flow() string      { return "book" }
func (b *book) ReadsRecord() bool { return b.metadata }
func (b *book) Nodes() []string   { return []string{"shout"} }
func (b *book) Logic() stream.Fingerprint {
	return stream.FingerprintBytes(fmt.Appendf(nil, "book %d %t", b.version, b.noWords))
}

func (b *book) TableLineage(string) []stream.NodeLineage {
	return []stream.NodeLineage{{Node: "shout", Operator: "shout", Version: b.version}}
}

func (b *book) ReadSet(d stream.Document) stream.Fingerprint {
	in := d.Input
	return stream.FingerprintOf(stream.ListOf(in.Field("title"), in.Field("body"), in.Field("record").Field("key")))
}

func (b *book) Tables() []stream.Table {
	pages := stream.Table{Name: "pages", Columns: []stream.Field{{Name: "title", Type: stream.TypeString.OrNull()}}}
	words := stream.Table{Name: "words", Columns: []stream.Field{{Name: "loud", Type: stream.TypeString}}}
	if b.noWords {
		return []stream.Table{pages}
	}
	return []stream.Table{pages, words}
}

func (b *book) Evaluate(ctx context.Context, d stream.Document, calls stream.Calls) ([]stream.Row, error) {
	title := d.Input.Field("title")
	if strings.HasPrefix(title.Str(), "wrong") {
		return nil, stream.Errorf(stream.Invalid, "title", "%s is no title", title.Str())
	}
	if title.Str() == "internal" {
		return nil, fmt.Errorf("nobody knows this error")
	}
	if b.suffix != "" {
		title = stream.StringOf(title.Str() + b.suffix)
	}
	rows := []stream.Row{{Table: "pages", Columns: []stream.Value{title}}}
	if b.noWords {
		return rows, nil
	}
	words := distinct(d.Input.Field("body").Str())
	loud, err := calls.Call(ctx, b.shout, words)
	if err != nil {
		return nil, err
	}
	for i, w := range words {
		rows = append(rows, stream.Row{Table: "words", Key: w.Str(), Columns: []stream.Value{loud[i]}})
	}
	return rows, nil
}

func distinct(body string) []stream.Value {
	words := strings.Fields(body)
	sort.Strings(words)
	var out []stream.Value
	for _, w := range slices.Compact(words) {
		out = append(out, stream.StringOf(w))
	}
	return out
}

// shouter is a costly operator. Words that begin with "slow" wait until they are released; those with "bad" are refused.
type shouter struct {
	batch int

	mu       sync.Mutex
	seen     map[string]int // calls per word
	sizes    []int          // of the batches
	released map[string]chan struct{}
	fail     func(words []stream.Value) error // asked before each call
}

func newShouter() *shouter {
	return &shouter{batch: 4, seen: map[string]int{}, released: map[string]chan struct{}{}}
}

func (s *shouter) BatchSize() int { return s.batch }

func (s *shouter) gate(word string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released[word] == nil {
		s.released[word] = make(chan struct{})
	}
	return s.released[word]
}

func (s *shouter) release(word string) {
	g := s.gate(word)
	select {
	case <-g:
	default:
		close(g)
	}
}

func (s *shouter) Apply(ctx context.Context, in []stream.Value) ([]stream.Value, error) {
	s.note(in)
	if s.fail != nil {
		if err := s.fail(in); err != nil {
			return nil, err
		}
	}
	out := make([]stream.Value, len(in))
	for i, v := range in {
		if strings.Contains(v.Str(), "bad") {
			return nil, stream.Errorf(stream.Invalid, "shout", "%q is not allowed", v.Str())
		}
		if strings.HasPrefix(v.Str(), "slow") {
			select {
			case <-s.gate(v.Str()):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		out[i] = stream.StringOf(strings.ToUpper(v.Str()))
	}
	return out, nil
}

func (s *shouter) note(in []stream.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes = append(s.sizes, len(in))
	for _, v := range in {
		s.seen[v.Str()]++
	}
}

func (s *shouter) calls() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.seen {
		n += c
	}
	return n
}

// notes decodes records whose value reads "title=One body=red,green". A field "note=~" was not sent by the source. Quotes
// at a key's end are no part of the document's ID: several keys may be one document's.
// Values: nil is a delete; "!KIND" no change; "?" can't be understood, "?id" neither, but names its document.
type notes struct{}

func (notes) Decode(r *stream.Record) (stream.Change, error) {
	text := string(r.Value)
	c := stream.Change{Document: "book/" + document(string(r.Key)), Image: r.Value, Record: r,
		Position: stream.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp.UnixNano()}}
	switch {
	case r.Value == nil:
		c.Op = stream.Delete
	case strings.HasPrefix(text, "!"):
		c.Op, c.Other = stream.Other, text[1:]
	case text == "?":
		c.Document = ""
		return c, stream.Errorf(stream.Invalid, "decode", "no document")
	case text == "?id":
		return c, stream.Errorf(stream.Invalid, "decode", "not understood")
	case text == "?broken":
		return c, fmt.Errorf("the decoder is broken")
	}
	return c, nil
}

func document(key string) string { return strings.TrimRight(key, "'") }

// glancing is notes of records whose key alone names the document. A value may go on behind a bar, which alters nothing
// unless it ends in a delete, "|-".
type glancing struct{ notes }

func (g glancing) Decode(r *stream.Record) (stream.Change, error) {
	short := *r
	short.Value, _, _ = bytes.Cut(r.Value, []byte("|"))
	c, err := g.notes.Decode(&short)
	c.Record, c.Begins = r, len(short.Value)
	if bytes.HasSuffix(r.Value, []byte("|-")) {
		c.Op = stream.Delete
	}
	return c, err
}

func (glancing) Upserts(rest []byte) bool {
	return len(rest) == 0 || rest[0] == '|' && !bytes.HasSuffix(rest, []byte("|-"))
}

func (notes) Fields(c *stream.Change) (stream.Value, []string, error) {
	var entries []stream.Entry
	var unavailable []string
	for f := range strings.FieldsSeq(string(c.Image)) {
		name, value, _ := strings.Cut(f, "=")
		switch value {
		case "~":
			unavailable = append(unavailable, name)
		case "?":
			return stream.Value{}, nil, stream.Errorf(stream.Invalid, "decode", "field %s is not understood", name)
		default:
			entries = append(entries, stream.Entry{Key: name, Value: stream.StringOf(strings.ReplaceAll(value, ",", " "))})
		}
	}
	return stream.MapOf(entries...), unavailable, nil
}
