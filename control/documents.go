package control

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Query selects documents: those of a status, after an ID, in order of ID.
type Query struct {
	Status string // live, pending (parked ones are, too), parked, quarantined; "": all
	After  string // only documents with a greater ID
	Limit  int    // at most so many; 0: 100
}

// Limits of a page of documents.
const (
	DefaultLimit = 100
	MaxLimit     = 10_000
)

// Documents is a page of documents.
type Documents struct {
	Documents []Document `json:"documents"`
	// Rejected are records that could not be understood and name no document. They come with the first page of all or of
	// quarantined documents.
	Rejected []Rejected `json:"rejected"`
	Next     string     `json:"next,omitempty"` // After of the next page; absent: this is the last one
}

// Document is what the state says of one document.
type Document struct {
	ID         string    `json:"id"`
	Status     string    `json:"status"`
	Reason     string    `json:"reason,omitempty"` // why it is quarantined
	Partition  int32     `json:"partition"`
	Rows       int       `json:"rows"` // that it has in the rows topic
	InputBytes int       `json:"input_bytes"`
	Position   Position  `json:"position"`         // of the last change that altered the input
	Failed     *Position `json:"failed,omitempty"` // of the change that failed, when it is another one
	Parked     *Parked   `json:"parked,omitempty"` // of a pending one: its evaluation rests
}

// Detail is a document with its stored input and the identities of its rows.
type Detail struct {
	Document
	Input Value `json:"input"` // null: none is stored
	Rows  []Row `json:"emitted"`
}

// Parked says why and until when the evaluation of a pending document rests.
type Parked struct {
	Due      string `json:"due"`           // when it is evaluated again
	Attempts int    `json:"attempts"`      // rounds that failed while others succeeded
	Reason   string `json:"reason"`        // the last failure
	Out      string `json:"out,omitempty"` // the node that answered nobody
}

// Row identifies a row of a document.
type Row struct {
	Table string `json:"table"`
	Key   string `json:"key"`
}

// Position says where a change came from.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Source    string `json:"source,omitempty"` // the source's own: LSN, binlog position, file state
	Time      string `json:"time,omitempty"`   // source time
}

// Rejected is a record that could not be understood and names no document.
type Rejected struct {
	Position Position `json:"position"`
	Reason   string   `json:"reason"`
	Key      string   `json:"key"`
	Value    string   `json:"value"` // its beginning
}

// shownValue is how much of a rejected record's value is shown.
const shownValue = 1 << 10

// ListDocuments reads a page of the documents that the stores hold. It visits every header, so its cost grows with the
// number of documents, its memory with the page only.
func ListDocuments(stores Stores, q Query) (Documents, error) {
	if !slices.Contains([]string{"", "live", "pending", "parked", "quarantined"}, q.Status) {
		return Documents{}, stream.Errorf(stream.Usage, "list documents", "there is no status %q; say live, pending, parked or quarantined", q.Status)
	}
	if q.Limit <= 0 {
		q.Limit = DefaultLimit
	}
	q.Limit = min(q.Limit, MaxLimit)
	page := Documents{Documents: []Document{}, Rejected: []Rejected{}}
	for _, p := range stores.Held() {
		if err := page.add(stores, p, q); err != nil {
			return page, fmt.Errorf("list documents of partition %d: %w", p, err)
		}
	}
	page.cut(q.Limit)
	return page, nil
}

func (d *Documents) add(stores Stores, partition int32, q Query) error {
	s, release, ok := stores.Store(partition)
	if !ok {
		return nil // handed on meanwhile
	}
	defer release()
	err := engine.Documents(s, func(h engine.Header) error {
		if h.ID > q.After && q.matches(h) {
			d.Documents = append(d.Documents, documentOf(h, partition))
			if len(d.Documents) > 4*q.Limit {
				d.cut(q.Limit)
			}
		}
		return nil
	})
	if err != nil || q.After != "" || q.Status != "" && q.Status != "quarantined" {
		return err
	}
	return engine.RejectedRecords(s, func(r engine.Rejected) error {
		if len(d.Rejected) < q.Limit {
			d.Rejected = append(d.Rejected, rejectedOf(r))
		}
		return nil
	})
}

func (q *Query) matches(h engine.Header) bool {
	if q.Status == "parked" {
		return h.Parked != nil
	}
	return q.Status == "" || h.Status.String() == q.Status
}

// cut keeps the first documents, in order of ID.
func (d *Documents) cut(limit int) {
	slices.SortFunc(d.Documents, func(a, b Document) int { return strings.Compare(a.ID, b.ID) })
	if len(d.Documents) > limit {
		d.Documents = d.Documents[:limit]
		d.Next = d.Documents[limit-1].ID
	}
}

// Merge joins the pages of several replicas into one of at most limit documents.
func Merge(pages []Documents, limit int) Documents {
	all := Documents{Documents: []Document{}, Rejected: []Rejected{}}
	more := false
	for _, p := range pages {
		all.Documents = append(all.Documents, p.Documents...)
		all.Rejected = append(all.Rejected, p.Rejected...)
		more = more || p.Next != ""
	}
	all.cut(limit)
	if more && all.Next == "" && len(all.Documents) > 0 {
		all.Next = all.Documents[len(all.Documents)-1].ID
	}
	return all
}

// FindDocument reads one document; false when the stores don't hold it. Its ID does not say its partition, so all are
// asked.
func FindDocument(stores Stores, id string) (d Detail, found bool, err error) {
	err = visit(stores, id, func(s engine.Store, h engine.Header, partition int32) error {
		found = true
		return d.read(s, h, partition)
	})
	return d, found, err
}

// read reads a document from the state of its partition.
func (d *Detail) read(s engine.Store, h engine.Header, partition int32) error {
	d.Document = documentOf(h, partition)
	input, err := engine.ReadInput(s, h)
	if err != nil {
		return err
	}
	d.Input = Value{input}
	rows, err := engine.EmittedRows(s, h.ID)
	d.Rows = make([]Row, len(rows))
	for i, r := range rows {
		d.Rows[i] = Row{r.Table, r.Key}
	}
	return err
}

// visit calls fn in the partition that holds the document, if any does.
func visit(stores Stores, id string, fn func(s engine.Store, h engine.Header, partition int32) error) error {
	for _, p := range stores.Held() {
		s, release, ok := stores.Store(p)
		if !ok {
			continue
		}
		h, found, err := engine.FindDocument(s, id)
		if err == nil && found {
			err = fn(s, h, p)
		}
		release()
		if err != nil || found {
			return err
		}
	}
	return nil
}

func documentOf(h engine.Header, partition int32) Document {
	d := Document{ID: h.ID, Status: h.Status.String(), Reason: h.Reason, Partition: partition, Rows: h.Rows,
		InputBytes: h.InputBytes, Position: positionOf(h.Position)}
	if h.Failed != nil {
		p := positionOf(*h.Failed)
		d.Failed = &p
	}
	if k := h.Parked; k != nil {
		d.Parked = &Parked{Due: time.Unix(0, k.Due).UTC().Format(time.RFC3339), Attempts: k.Attempts, Reason: k.Reason, Out: k.Node}
	}
	return d
}

func positionOf(p stream.Position) Position {
	out := Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset, Source: p.Source}
	if p.Time != 0 {
		out.Time = time.Unix(0, p.Time).UTC().Format(time.RFC3339Nano)
	}
	return out
}

func rejectedOf(r engine.Rejected) Rejected {
	return Rejected{Position: positionOf(r.Position), Reason: r.Reason, Key: readable(r.Key), Value: readable(r.Value[:min(len(r.Value), shownValue)])}
}

func readable(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
