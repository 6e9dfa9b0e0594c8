//go:build synctests

package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

type op uint8

const (
	opPut op = iota
	opDelete
	opRefused // the watcher could not send it
)

// change is one change of the source.
type change struct {
	doc       string // its ID
	partition int32
	op        op
	content   string
	bare      bool // a tombstone that another program wrote
	lies      place
}

func (c change) record() stream.Record {
	if c.lies.key != "" {
		return c.ticket()
	}
	path := strings.TrimPrefix(c.doc, "page/")
	switch {
	case c.bare:
		return stream.Record{Key: []byte(c.doc)}
	case c.op == opDelete:
		return schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Op: schemas.FileDelete})
	case c.op == opRefused:
		return schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Op: schemas.FileRefused, Reason: "too large"})
	}
	return schemas.EncodeFile(schemas.FileEvent{Source: "page", Path: path, Content: []byte(c.content), Size: int64(len(c.content))})
}

// author writes the changes of a run: creations, edits, no-ops, deletes, re-creations, reverts, invalid contents, and
// ones that take long.
type author struct {
	rng   *rand.Rand
	docs  []*draft
	stamp int
}

// draft is a document as its author knows it.
type draft struct {
	id        string
	partition int32
	past      []string // contents so far; the last one is there now, unless it was deleted
	there     bool
	lies      place
}

const docsPerPartition = 7

func newAuthor(rng *rand.Rand, partitions int32, several bool) *author {
	a := &author{rng: rng}
	for p := range partitions {
		for i := range docsPerPartition {
			if several {
				a.docs = append(a.docs, draftOf(p, i, partitions))
			} else {
				a.docs = append(a.docs, &draft{id: fmt.Sprintf("page/%d/%d.md", p, i), partition: p, lies: place{topic: pages, partition: p}})
			}
		}
	}
	return a
}

// burst returns n changes. Half of them, if partition is not negative all of them, are of that partition.
func (a *author) burst(n int, partition int32) []change {
	out := make([]change, 0, n)
	for len(out) < n {
		d := a.docs[a.rng.IntN(len(a.docs))]
		if partition >= 0 && d.partition != partition && a.rng.IntN(4) > 0 {
			continue
		}
		out = append(out, a.next(d))
		if a.rng.IntN(12) == 0 { // the same document once more, close by
			out = append(out, a.next(d))
		}
	}
	return out
}

func (a *author) next(d *draft) change {
	c := change{doc: d.id, partition: d.partition, lies: d.lies}
	roll := a.rng.IntN(100)
	switch {
	case roll < 15 && (d.there || roll < 2):
		c.op, c.bare, d.there = opDelete, roll%5 == 0, false
	case roll < 18:
		c.op = opRefused
	case roll < 30 && len(d.past) > 0: // a no-op, or a re-creation as it was
		c.content = d.past[len(d.past)-1]
	case roll < 42 && len(d.past) > 1: // back to an earlier content
		c.content = d.past[a.rng.IntN(len(d.past))]
	default:
		c.content = a.content()
	}
	if c.op == opPut {
		d.there = true
		d.past = append(d.past, c.content)
	}
	return c
}

var words = []string{"north", "east", "south", "west", "up", "down"}

func (a *author) content() string {
	var out []string
	for range 1 + a.rng.IntN(4) {
		out = append(out, a.line())
	}
	return strings.Join(out, "\n")
}

func (a *author) line() string {
	word := words[a.rng.IntN(len(words))]
	a.stamp++
	switch roll := a.rng.IntN(100); {
	case roll < 45: // lines that documents share, so that memos are
		return word
	case roll < 52:
		return fmt.Sprintf("slow %s %d", word, a.stamp)
	case roll < 56:
		return fmt.Sprintf("bad %s", word)
	case roll < 57:
		return strings.Repeat("long", maxRow/4) + word
	}
	return fmt.Sprintf("%s %d", word, a.stamp)
}

// back returns changes that take every document of a partition to what it was before the last n of its contents.
func (a *author) back(partition int32) (out []change) {
	for _, d := range a.docs {
		if d.partition == partition && d.there && len(d.past) > 1 {
			c := change{doc: d.id, partition: d.partition, lies: d.lies, content: d.past[len(d.past)-2]}
			d.past = append(d.past, c.content)
			out = append(out, c)
		}
	}
	return out
}
