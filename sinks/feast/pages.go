package feast

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Features of the view of bookkeeping.
const (
	fBody     = "_body"
	fSequence = "_sequence"
)

func newBooks(name string) *view {
	return &view{name: escaped(name), key: derivedKey, keyType: typeString, features: []feature{{fBody, typeString}, {fSequence, typeInt}}}
}

// page is a row of the view of bookkeeping.
type page struct {
	name     string
	at       int64  // the event timestamp, which counts its replacements; 0 for one that is not there
	body     string // JSON
	sequence int64  // another one after each replacement; 0 for one that is not there
}

// firstPage is the event timestamp of a page that is new.
var firstPage = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// pagesNamed reads pages.
func (s *store) pagesNamed(ctx context.Context, doing string, names []string) ([]page, error) {
	keys := make([]json.RawMessage, len(names))
	for n, name := range names {
		keys[n] = quoted(name)
	}
	rows, err := s.read(ctx, doing, s.books, []string{fBody, fSequence}, keys)
	if err != nil {
		return nil, err
	}
	pages := make([]page, len(rows))
	for n, r := range rows {
		pages[n] = page{name: names[n], at: r.at, sequence: intOf(r.values[1])}
		if r.values[0] != nil {
			if err := json.Unmarshal(r.values[0], &pages[n].body); err != nil {
				return nil, damaged(names[n], err)
			}
		}
	}
	return pages, nil
}

func damaged(name string, err error) error {
	return stream.Errorf(stream.Usage, "feast: read bookkeeping", "%s was altered by hand: %w; undo that, or remove the bookkeeping and the tables' views, and start anew", name, err)
}

func intOf(text json.RawMessage) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}

// replace writes pages, each in the place of what was read of it, and reports which of them went in, with their new sequence. Race: of two that were
// made from one reading, the one that comes second has the timestamp of the first, so it is left out; and what is read back is not its own.
func (s *store) replace(ctx context.Context, doing string, pages []page) (in []bool, sequence int64, err error) {
	sequence = 1 + rand.Int64N(1<<53-1)
	rows := make([]row, len(pages))
	names := make([]json.RawMessage, len(pages))
	for n, p := range pages {
		names[n] = quoted(p.name)
		rows[n] = row{names[n], max(p.at+1, firstPage), []json.RawMessage{quoted(p.body), json.RawMessage(strconv.FormatInt(sequence, 10))}}
	}
	if err := s.push(ctx, doing, s.books, rows); err != nil {
		return nil, 0, err
	}
	held, err := s.read(ctx, doing, s.books, []string{fSequence}, names)
	if err != nil {
		return nil, 0, err
	}
	in = make([]bool, len(pages))
	for n, h := range held {
		in[n] = h.at == rows[n].at && intOf(h.values[0]) == sequence
	}
	return in, sequence, nil
}

// prove makes sure that the view of bookkeeping is there, and that its rows are not replaced by ones that are not newer.
func (s *store) prove(ctx context.Context) error {
	const doing, name = "look at the bookkeeping", "proof"
	held, err := s.pagesNamed(ctx, doing, []string{name})
	if err == nil {
		_, _, err = s.replace(ctx, doing, held)
	}
	switch {
	case isAbsent(err) || isInternal(err):
		return stream.Errorf(stream.Usage, "feast: "+doing, "%w. This needs to be applied in the feature repository: %s", err, s.books.python())
	case err != nil:
		return err
	}
	p := held[0]
	const stale = "-1" // no page has it
	at := max(p.at, firstPage)
	for _, older := range []int64{at, at - 1} {
		r := row{quoted(name), older, []json.RawMessage{quoted(""), json.RawMessage(stale)}}
		if err := s.push(ctx, doing, s.books, []row{r}); err != nil {
			return err
		}
	}
	if held, err = s.pagesNamed(ctx, doing, []string{name}); err == nil && held[0].sequence < 0 {
		err = stream.Errorf(stream.Usage, "feast: "+doing, "the online store lets a row replace one whose event timestamp is newer, so nothing would be safe in it; "+
			"use one that does not, such as Redis without `skip_dedup`")
	}
	return err
}

// turn is held by whoever of this process replaces the pages of a table: two that replace one page at once would only make each other read it again.
type turn chan struct{}

func newTurn() turn { return make(chan struct{}, 1) }

func (t turn) do(ctx context.Context, what func() error) error {
	select {
	case t <- struct{}{}:
		defer func() { <-t }()
		return what()
	case <-ctx.Done():
		return &stream.Error{Op: "feast: wait for a turn", Kind: stream.Transient, Err: ctx.Err()}
	}
}

// attempts is how often pages that others replace meanwhile are read again.
const attempts = 20

// revise reads pages and replaces those that change alters, until each is as it wants. change may be called again, when another writer came between;
// it returns the body and whether it is to be written.
func (s *store) revise(ctx context.Context, doing string, names []string, change func(name, body string) (string, bool, error)) error {
	for range attempts {
		held, err := s.pagesNamed(ctx, doing, names)
		if err != nil {
			return err
		}
		var altered []page
		for _, p := range held {
			body, alters, err := change(p.name, p.body)
			if err != nil {
				return err
			}
			if alters {
				p.body = body
				altered = append(altered, p)
			}
		}
		if len(altered) == 0 {
			return nil
		}
		in, _, err := s.replace(ctx, doing, altered)
		if err != nil {
			return err
		}
		names = nil
		for n, p := range altered {
			if !in[n] {
				names = append(names, p.name)
			}
		}
		if len(names) == 0 {
			return nil
		}
	}
	return stream.Errorf(stream.Transient, "feast: "+doing, "other writers replaced the bookkeeping each time")
}
