//go:build synctests

package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// model replays the source: for every document, the rows that each of its changes gives. It shares no code with the
// engine.
type model struct {
	mu   sync.Mutex
	docs map[string]*story
	sent map[int32]int64 // changes by partition
}

// story is what happened to a document, in source order.
type story struct {
	partition int32
	past      []moment
}

// moment is a document after one change.
type moment struct {
	rows    string // as text; "" after a delete
	deleted bool
	at      int64
	invalid bool // refused or failed: it has no rows of its own
}

func newModel() *model { return &model{docs: map[string]*story{}, sent: map[int32]int64{}} }

// change notes one change of the source.
func (m *model) change(c change) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.docs[c.doc]
	if s == nil {
		s = &story{partition: c.partition}
		m.docs[c.doc] = s
	}
	m.sent[c.partition]++
	next := moment{at: m.sent[c.partition] - 1, deleted: c.op == opDelete, invalid: c.op == opRefused}
	if c.op == opPut {
		next.rows, next.invalid = rowsOf(c.content)
	}
	s.past = append(s.past, next)
}

// rowsOf gives the rows of a content as text, or says that the content is invalid.
func rowsOf(content string) (rows string, invalid bool) {
	seen := map[string]string{}
	for line := range strings.SplitSeq(content, "\n") {
		if _, twice := seen[line]; twice || strings.Contains(line, "bad") || len(line) > maxRow/2 {
			return "", true
		}
		seen[line] = strings.ToUpper(line)
	}
	return textOf(seen), false
}

// textOf writes rows, key by key.
func textOf(rows map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(&b, "%s=%s\n", k, rows[k])
	}
	return b.String()
}

// seen finds the first moment, not before from, whose rows are these; -1: there is none, so that no reader may see them.
// Moment -1 is before the document's first change.
func (m *model) seen(doc, rows string, from int) (at int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if from < 0 && rows == "" {
		return -1, true
	}
	s := m.docs[doc]
	if s == nil {
		return 0, false
	}
	for i := max(from, 0); i < len(s.past); i++ {
		if !s.past[i].invalid && s.past[i].rows == rows {
			return i, true
		}
	}
	return 0, false
}

// final checks a document's rows once everything is done.
//
// A document whose last change is invalid keeps its last good rows. Which ones these are depends on how changes were cut
// into transactions, since only the last of a transaction is evaluated; but a delete took away all rows before it.
func (m *model) final(doc, rows string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.docs[doc]
	if s == nil {
		return fmt.Errorf("document %s was never in the source, and has rows:\n%s", doc, rows)
	}
	last := len(s.past) - 1
	if !s.past[last].invalid {
		if s.past[last].rows != rows {
			return fmt.Errorf("document %s ends with rows:\n%swant:\n%s", doc, rows, s.past[last].rows)
		}
		return nil
	}
	for i := last - 1; i >= 0; i-- {
		if !s.past[i].invalid && s.past[i].rows == rows {
			return nil
		}
		if s.past[i].deleted {
			break
		}
	}
	if rows != "" {
		return fmt.Errorf("document %s is quarantined, and has rows of no change since its last delete:\n%s", doc, rows)
	}
	return nil
}

func (m *model) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.docs))
}

// eye follows what one reader sees of each document: it must be what a change made, and never go back.
type eye struct {
	model *model
	rows  map[string]map[string]string // document → key → text
	at    map[string]int               // document → moment seen last
}

func newEye(m *model) *eye {
	return &eye{model: m, rows: map[string]map[string]string{}, at: map[string]int{}}
}

// put notes a write of a row, and reports whether it changed anything.
func (e *eye) put(id stream.RowID, deleted bool, text string) bool {
	rows := e.rows[id.Document]
	if rows == nil {
		rows = map[string]string{}
		e.rows[id.Document] = rows
	}
	old, had := rows[id.Key]
	if deleted {
		delete(rows, id.Key)
		return had
	}
	rows[id.Key] = text
	return !had || old != text
}

// look checks what is seen of a document now. strictly: something of it was written, so that it must have moved on.
func (e *eye) look(doc string, strictly bool) error {
	from, known := e.at[doc]
	if !known {
		from = -1
	}
	if strictly {
		from++
	}
	text := textOf(e.rows[doc])
	at, ok := e.model.seen(doc, text, from)
	if !ok {
		return fmt.Errorf("document %s is seen with rows that no change since moment %d gives (half of it, out of order, or back again):\n%s", doc, from, text)
	}
	e.at[doc] = at
	return nil
}

// end checks every document once everything is done.
func (e *eye) end() (faults []string) {
	for _, doc := range e.model.names() {
		if err := e.model.final(doc, textOf(e.rows[doc])); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

func (e *eye) clone() *eye {
	c := newEye(e.model)
	maps.Copy(c.at, e.at)
	for doc, rows := range e.rows {
		c.rows[doc] = maps.Clone(rows)
	}
	return c
}
