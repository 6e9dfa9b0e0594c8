package opensearch

import (
	"context"
	"fmt"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

var _ guard.Store = (*store)(nil)

const writing = "write rows"

// rounds is how often a row is tried that others write at the same moment.
const rounds = 4

// writing of one put: what is still to be done, by the index of its item.
type put struct {
	*store
	table     *table
	items     []guard.Item
	documents [][]byte
	open      []int
	failed    map[int]error
}

// Put writes items by their versions; see the package comment for those whose version the server knows already. See guard.Rows.
func (s *store) Put(ctx context.Context, name string, items []guard.Item) error {
	t, err := s.table(name)
	if err != nil || len(items) == 0 {
		return err
	}
	p := &put{store: s, table: t, items: items, documents: make([][]byte, len(items)), failed: map[int]error{}}
	for n, i := range items {
		if p.documents[n], err = t.document(i); err != nil {
			return err
		}
		p.open = append(p.open, n)
	}
	for range rounds {
		if err := p.byVersion(ctx); err != nil {
			return err
		}
		if err := p.byWhatIsHeld(ctx); err != nil {
			return err
		}
	}
	for _, n := range p.open {
		p.failed[n] = stream.Errorf(stream.Transient, "opensearch: "+writing, "others write row %q of document %s at the same time", items[n].Key, items[n].Document)
	}
	if len(p.failed) > 0 {
		return &stream.BatchError{Failed: p.failed}
	}
	return nil
}

// byVersion writes what is open unless the server knows the row's version or a newer one: that stays open. Invariant 3.
// The server's versions are never below ours, since only writes of ours and edits by hand raise them: what passes has won.
func (p *put) byVersion(ctx context.Context) error {
	actions := make([]action, len(p.open))
	for k, n := range p.open {
		i := p.items[n]
		actions[k] = action{Index: above(rowID(i.Document, i.Key), i.Version.Pack()), document: p.documents[n]}
	}
	return p.send(ctx, p.open, actions)
}

// byWhatIsHeld reads the documents of what is open. A row that wins over its document replaces it, if it is still the same by then; one that lost is
// done. What is open afterwards is to be begun again: its document was changed, or deleted by hand.
func (p *put) byWhatIsHeld(ctx context.Context) error {
	if len(p.open) == 0 {
		return nil
	}
	ids := make([]string, len(p.open))
	for k, n := range p.open {
		ids[k] = rowID(p.items[n].Document, p.items[n].Key)
	}
	hits, err := p.get(ctx, "compare rows", p.table.index, ids, []string{ownField + ".version", ownField + ".epoch"})
	if err != nil {
		return err
	}
	var again, winners []int
	var actions []action
	for k, n := range p.open {
		switch {
		case !hits[k].Found:
			again = append(again, n)
		case p.items[n].Beats(hits[k].Source.own().held()):
			winners = append(winners, n)
			actions = append(actions, action{Index: unchanged(hits[k]), document: p.documents[n]})
		}
	}
	if err := p.send(ctx, winners, actions); err != nil {
		return err
	}
	p.open = append(p.open, again...)
	return nil
}

// send does the actions of some items; open are then those whose condition was not met.
func (p *put) send(ctx context.Context, items []int, actions []action) error {
	p.open = nil
	if len(actions) == 0 {
		return nil
	}
	outcomes, err := p.bulk(ctx, writing, p.table.alias, actions)
	if err != nil {
		return err
	}
	for k, n := range items {
		done, err := p.done(writing, outcomes[k])
		switch {
		case err != nil:
			p.failed[n] = err
		case !done:
			p.open = append(p.open, n)
		}
	}
	return nil
}

// Collect removes tombstones; one that was replaced meanwhile stays. See guard.Rows.
func (s *store) Collect(ctx context.Context, name string, in guard.Range, before time.Time) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	for {
		if err := s.refresh(ctx, t.index); err != nil {
			return err
		}
		old, err := s.inRange(ctx, t, in, fmt.Sprintf(`{"term":{"_freshet.deleted":true}},{"range":{"_freshet.at":{"lt":%d}}}`, before.UnixMilli()), tombstonePage)
		if err != nil || len(old) == 0 {
			return err
		}
		removed, err := s.remove(ctx, t, old)
		if err != nil || removed == 0 {
			return err
		}
	}
}

// tombstones that are removed in one request.
const tombstonePage = 500

// remove deletes documents that are still what they were when they were read.
func (s *store) remove(ctx context.Context, t *table, hits []hit) (removed int, err error) {
	const doing = "remove documents"
	actions := make([]action, len(hits))
	for n, h := range hits {
		actions[n] = action{Delete: unchanged(h)}
	}
	outcomes, err := s.bulk(ctx, doing, t.alias, actions)
	for _, o := range outcomes {
		done, failure := s.done(doing, o)
		if failure != nil {
			err = failure
		}
		if done {
			removed++
		}
	}
	return removed, err
}
