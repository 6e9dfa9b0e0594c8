package history

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// line is one edit of a recording.
type line struct {
	Commit string  `json:"commit"`
	Time   int64   `json:"ts"` // seconds since 1970
	Path   string  `json:"path"`
	Op     string  `json:"op"`
	Text   *string `json:"text"` // with op upsert
}

// corpus reads a recording: one edit a line, JSON, edits of a commit together.
type corpus struct {
	name string
	file *os.File
	in   *json.Decoder
	next *line // read ahead
	at   int   // lines read
}

// OpenCorpus opens a recording: lines of JSON {commit, ts, path, op, text} in order of time, the edits of one commit
// together; op is upsert or delete. A name that ends with .gz is decompressed.
func OpenCorpus(name string) (Reader, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, &stream.Error{Op: "open the history", Kind: stream.Usage, Err: err}
	}
	c := &corpus{name: name, file: file}
	var in io.Reader = bufio.NewReaderSize(file, 1<<20)
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, errors.Join(c.wrong(err), file.Close())
		}
	}
	c.in = json.NewDecoder(in)
	return c, nil
}

// Close implements Reader.
func (c *corpus) Close() error { return c.file.Close() }

// Next implements Reader.
func (c *corpus) Next() (Commit, error) {
	if c.next == nil {
		if err := c.read(); err != nil {
			return Commit{}, err
		}
	}
	commit := Commit{ID: c.next.Commit, Time: time.Unix(c.next.Time, 0).UTC()}
	seen := map[string]bool{}
	for c.next != nil && c.next.Commit == commit.ID {
		if seen[c.next.Path] {
			return commit, c.wrong(fmt.Errorf("commit %s edits %s twice", commit.ID, c.next.Path))
		}
		seen[c.next.Path] = true
		commit.Edits = append(commit.Edits, c.next.edit())
		if err := c.read(); err != nil && err != io.EOF {
			return commit, err
		}
	}
	return commit, nil
}

func (l *line) edit() Edit {
	if l.Op == "delete" {
		return Edit{Path: l.Path, Delete: true}
	}
	return Edit{Path: l.Path, Content: []byte(*l.Text)}
}

// read takes the next line; next is nil after the last one.
func (c *corpus) read() error {
	c.next = nil
	var l line
	c.at++
	if err := c.in.Decode(&l); err != nil {
		if err == io.EOF {
			return err
		}
		return c.wrong(err)
	}
	switch {
	case l.Commit == "" || l.Path == "":
		return c.wrong(errors.New("it lacks commit or path"))
	case l.Op != "upsert" && l.Op != "delete":
		return c.wrong(fmt.Errorf("its op is %q, not upsert or delete", l.Op))
	case l.Op == "upsert" && l.Text == nil:
		return c.wrong(errors.New("it is an upsert without text"))
	}
	c.next = &l
	return nil
}

func (c *corpus) wrong(err error) error {
	return stream.Errorf(stream.Usage, "read the history "+c.name, "edit %d: %w; a history is lines of "+
		`{"commit", "ts", "path", "op": "upsert" or "delete", "text"}`, c.at, err)
}
