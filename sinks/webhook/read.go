package webhook

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// line is a line of a receiver's rows: a row, or, at last, how many there were.
type line struct {
	Document string          `json:"document"`
	Key      string          `json:"key"`
	Version  int64           `json:"version"`
	Columns  json.RawMessage `json:"columns"`
	Lineage  json.RawMessage `json:"lineage"`
	Rows     *int64          `json:"rows"`
}

// ReadRows asks for a table's rows, as of one moment. See stream.Reader.
func (s *Sink) ReadRows(ctx context.Context, name string, each func(stream.RowWrite) error) error {
	const doing = "read"
	t, err := s.table(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(s.timeout, cancel)
	defer quiet.Stop()
	about := fmt.Sprintf("the rows of table %q", t.as)
	resp, secrets, err := s.exchange(ctx, http.MethodGet, url.Values{"table": {t.as}}.Encode(), nil, "")
	if err != nil {
		return s.said(doing, about, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return s.said(doing, about, s.refusal(resp, secrets))
	}
	lines := bufio.NewReaderSize(resp.Body, 1<<20)
	for n := int64(0); ; n++ {
		quiet.Reset(s.timeout)
		text, err := lines.ReadBytes('\n')
		quiet.Stop() // what becomes of the row may take its time
		if err != nil {
			return s.said(doing, about, outage(unended(err)))
		}
		w, last, err := t.row(text, n)
		if err != nil {
			return s.said(doing, about, err)
		}
		if last {
			return nil
		}
		if err := each(w); err != nil {
			return err
		}
	}
}

func unended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// row decodes a line that follows n rows; the last one is their number.
func (t *table) row(text []byte, n int64) (w stream.RowWrite, last bool, err error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return w, false, stream.Errorf(stream.Usage, "", "line %d is no JSON: %w", n+1, err)
	}
	if l.Rows != nil {
		if *l.Rows != n {
			err = stream.Errorf(stream.Usage, "", "the receiver says that there are %d, and gave %d", *l.Rows, n)
		}
		return w, true, err
	}
	w = stream.RowWrite{RowID: stream.RowID{Table: t.Name, Document: l.Document, Key: l.Key}, Version: stream.Unpack(l.Version), Lineage: l.Lineage}
	if w.Columns, err = jsonvalue.ParseRow(string(l.Columns), t.Columns); err != nil {
		err = stream.Errorf(stream.Usage, "", "the row of document %q with key %q: %w", l.Document, l.Key, err)
	}
	return w, false, err
}
