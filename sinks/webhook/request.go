package webhook

import (
	"encoding/json"
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// protocol is the version of what is spoken; the receiver says it in each answer to a GET.
const protocol = 1

// request is the body of a POST. Its JSON is the same whenever the same is sent again.
type request struct {
	Do        string `json:"do"`
	Flow      string `json:"flow"`
	Target    string `json:"target"`
	Partition *int32 `json:"partition,omitempty"` // of all but make
	Epoch     int64  `json:"epoch,omitempty"`     // of the writer, of all but make
	Writer    string `json:"writer,omitempty"`    // of take

	// write, stage
	*span
	Upserts []upsert `json:"upserts,omitempty"`
	Deletes []remove `json:"deletes,omitempty"`
	// set
	Place *place `json:"place,omitempty"`
	// switch
	End *int64 `json:"end,omitempty"`
	// sweep
	Partitions int32 `json:"partitions,omitempty"`
	Before     int64 `json:"before,omitempty"`
	// make
	Tables  []tableRecord `json:"tables,omitempty"`
	Left    []string      `json:"left,omitempty"`
	Replace bool          `json:"replace,omitempty"`
	Places  []raised      `json:"places,omitempty"`
}

// span is the run of records that a batch stands for.
type span struct {
	Generation int64 `json:"generation"`
	From       int64 `json:"from"`
	To         int64 `json:"to"`
}

// upsert is the last write of a row in a batch.
type upsert struct {
	remove
	Columns json.RawMessage `json:"columns"`
	Lineage json.RawMessage `json:"lineage,omitempty"`
}

// remove is the delete of a row: its identity, and the version of the delete.
type remove struct {
	Table    string `json:"table"`
	Document string `json:"document"`
	Key      string `json:"key"`
	Version  int64  `json:"version"`
}

// place is where a partition stands at the receiver, and who may move it.
type place struct {
	Partition  int32        `json:"partition"`
	Epoch      int64        `json:"epoch"`
	Writer     string       `json:"writer"` // who gave it this epoch
	Topic      string       `json:"topic"`
	Generation int64        `json:"generation"`
	Next       int64        `json:"next"`
	Rebuild    *rebuildNote `json:"rebuild,omitempty"`
}

// rebuildNote is a rebuild under way: records from Next to End go to the stage, which is to replace the rows with versions from Since on and below Below.
type rebuildNote struct {
	Next  int64 `json:"next"`
	End   int64 `json:"end"`
	Since int64 `json:"since"`
	Below int64 `json:"below"`
}

// rebuildOf is a rebuild from the beginning, of a generation's records below end.
func rebuildOf(generation, end int64) *rebuildNote {
	return &rebuildNote{End: end, Since: stream.FirstOf(generation).Pack(), Below: stream.Version{Generation: generation, Offset: end}.Pack()}
}

func (p *place) applied() stream.Applied {
	a := stream.Applied{TopicID: p.Topic, Generation: p.Generation, Next: p.Next}
	if p.Rebuild != nil {
		a.Rebuild = &stream.Rebuild{Next: p.Rebuild.Next, End: p.Rebuild.End}
	}
	return a
}

// raised gives a place another epoch, if it still has the one it was seen with.
type raised struct {
	Partition int32        `json:"partition"`
	Was       int64        `json:"was"`
	Epoch     int64        `json:"epoch"`
	Rebuild   *rebuildNote `json:"rebuild,omitempty"`
}

// tableRecord is what the receiver keeps of a table that a flow made. An empty declaration marks one that a later declaration left out.
type tableRecord struct {
	Name        string   `json:"name"`
	Flow        string   `json:"flow"`
	Target      string   `json:"target"`
	Columns     []column `json:"columns"`
	Declaration string   `json:"declaration"`
}

// rowsOf fills in the last write of each row of a batch.
func (s *Sink) rowsOf(r *request, b stream.Batch) error {
	last := map[stream.RowID]*stream.RowWrite{}
	for _, u := range b.Units {
		for i := range u.Rows {
			last[u.Rows[i].RowID] = &u.Rows[i]
		}
	}
	for _, u := range b.Units {
		for i := range u.Rows {
			w := &u.Rows[i]
			if last[w.RowID] != w {
				continue
			}
			if err := s.add(r, w); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Sink) add(r *request, w *stream.RowWrite) error {
	t, err := s.table(w.Table)
	if err != nil {
		return err
	}
	row := remove{t.as, w.Document, w.Key, w.Version.Pack()}
	if w.Delete {
		r.Deletes = append(r.Deletes, row)
		return nil
	}
	columns, err := t.encode(w.Columns)
	if err != nil {
		return &stream.Error{Op: s.op("write a row of table " + w.Table + " to"), Doc: w.Document, Kind: stream.Usage, Err: err}
	}
	r.Upserts = append(r.Upserts, upsert{row, columns, w.Lineage})
	return nil
}

// about names what a request is about, for whoever has to find out why it was refused.
func (r *request) about() string {
	switch {
	case r.Partition == nil:
		return "the tables"
	case r.span == nil:
		return fmt.Sprintf("partition %d", *r.Partition)
	}
	text := fmt.Sprintf("records [%d, %d) of partition %d", r.From, r.To, *r.Partition)
	first, last := "", ""
	for _, w := range r.Upserts {
		if first == "" {
			first = w.Document
		}
		last = w.Document
	}
	for _, w := range r.Deletes {
		if first == "" {
			first = w.Document
		}
		last = w.Document
	}
	if rows := len(r.Upserts) + len(r.Deletes); rows > 0 {
		text += fmt.Sprintf(" (%d rows, documents %.200q to %.200q)", rows, first, last)
	}
	return text
}
