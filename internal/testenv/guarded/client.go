package guarded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Client is a store as sinks reach it, in this process or over HTTP.
type Client struct {
	do func(ctx context.Context, c Call) (Answer, error)
}

var (
	_ guard.Store  = (*Client)(nil)
	_ guard.Reader = (*Client)(nil)
)

// Client returns a client that calls the store directly.
func (s *Store) Client() *Client {
	return &Client{do: func(ctx context.Context, c Call) (Answer, error) {
		a := s.Do(ctx, c)
		return a, a.err(c.Op)
	}}
}

// Dial returns a client of a server. It does no I/O.
func Dial(url string) *Client {
	h := &http.Client{Timeout: 10 * time.Second}
	return &Client{do: func(ctx context.Context, c Call) (Answer, error) { return post(ctx, h, url, c) }}
}

func post(ctx context.Context, h *http.Client, url string, c Call) (a Answer, err error) {
	body, err := stream.Marshal(c)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return a, stream.Errorf(stream.Usage, "guarded store", "%w", err)
	}
	resp, err := h.Do(req)
	if err != nil {
		return a, stream.Errorf(stream.Transient, "guarded store: "+string(c.Op), "%w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	if err == nil {
		err = stream.Unmarshal(answer, &a)
	}
	if err != nil {
		return a, stream.Errorf(stream.Transient, "guarded store: "+string(c.Op), "%w", err)
	}
	return a, a.err(c.Op)
}

// Open makes sure that the store answers.
func (c *Client) Open(ctx context.Context) error {
	_, err := c.do(ctx, Call{Op: OpGet})
	return err
}

// Close does nothing: there is nothing to end.
func (c *Client) Close() error { return nil }

// Put puts items. See guard.Rows.
func (c *Client) Put(ctx context.Context, table string, items []guard.Item) error {
	wire := make([]Item, len(items))
	for n, i := range items {
		wire[n] = Item{Over: i.Over.Pack(), Bound: i.Bound.Pack(), Row: row{Document: i.Document, Key: i.Key, Version: i.Version.Pack(),
			Deleted: i.Delete, Columns: i.Columns, Lineage: i.Lineage, Partition: i.Partition, Epoch: i.Epoch, At: i.At.UnixMilli()}}
	}
	_, err := c.do(ctx, Call{Op: OpPut, Table: table, Items: wire})
	return err
}

// Scan looks rows up. See guard.Rows.
func (c *Client) Scan(ctx context.Context, table string, in guard.Range, limit int) ([]guard.Held, error) {
	a, err := c.do(ctx, Call{Op: OpScan, Table: table, Range: wireRange(in), Limit: limit})
	held := make([]guard.Held, len(a.Rows))
	for n, r := range a.Rows {
		held[n] = guard.Held{RowID: stream.RowID{Table: table, Document: r.Document, Key: r.Key}, Version: stream.Unpack(r.Version)}
	}
	return held, err
}

// Collect removes tombstones. See guard.Rows.
func (c *Client) Collect(ctx context.Context, table string, in guard.Range, before time.Time) error {
	_, err := c.do(ctx, Call{Op: OpCollect, Table: table, Range: wireRange(in), Before: before.UnixMilli()})
	return err
}

// Read reads a table. See guard.Reader.
func (c *Client) Read(ctx context.Context, table string, each func(guard.Item) error) error {
	a, err := c.do(ctx, Call{Op: OpRead, Table: table})
	for _, r := range a.Rows {
		if err != nil {
			return err
		}
		err = each(guard.Item{Partition: r.Partition, Epoch: r.Epoch, At: time.UnixMilli(r.At), RowWrite: stream.RowWrite{
			RowID: stream.RowID{Table: table, Document: r.Document, Key: r.Key}, Version: stream.Unpack(r.Version), Columns: r.Columns, Lineage: r.Lineage}})
	}
	return err
}

// Get reads a document. See guard.Documents.
func (c *Client) Get(ctx context.Context, key string) (guard.Document, error) {
	return c.one(ctx, Call{Op: OpGet, Document: guard.Document{Key: key}})
}

// Swap replaces a document. See guard.Documents.
func (c *Client) Swap(ctx context.Context, held guard.Document, body []byte) (guard.Document, error) {
	held.Body = body
	return c.one(ctx, Call{Op: OpSwap, Document: held})
}

func (c *Client) one(ctx context.Context, call Call) (guard.Document, error) {
	a, err := c.do(ctx, call)
	if err == nil && len(a.Documents) != 1 {
		err = errors.New("the answer holds no document")
	}
	if err != nil {
		return guard.Document{}, err
	}
	return a.Documents[0], nil
}

// List lists documents. See guard.Documents.
func (c *Client) List(ctx context.Context, prefix string) ([]guard.Document, error) {
	a, err := c.do(ctx, Call{Op: OpList, Document: guard.Document{Key: prefix}})
	return a.Documents, err
}

// Shape describes a table. See guard.Tables.
func (c *Client) Shape(ctx context.Context, table string) (string, bool, error) {
	a, err := c.do(ctx, Call{Op: OpShape, Table: table})
	return a.Shape, a.Exists, err
}

// Create makes a table. See guard.Tables.
func (c *Client) Create(ctx context.Context, t guard.Table) error {
	columns := make([]string, len(t.Columns))
	for n, col := range t.Columns {
		columns[n] = col.Name + " " + col.Type.String()
	}
	_, err := c.do(ctx, Call{Op: OpCreate, Table: t.As, Columns: columns})
	return err
}

// Drop removes a table. See guard.Tables.
func (c *Client) Drop(ctx context.Context, table string) error {
	_, err := c.do(ctx, Call{Op: OpDrop, Table: table})
	return err
}

// Alter adds a column to a table, as a stranger would.
func (c *Client) Alter(ctx context.Context, table, column string) error {
	_, err := c.do(ctx, Call{Op: OpAlter, Table: table, Columns: []string{column}})
	return err
}

// Edit overwrites one column of a row, as a stranger would; its version stays.
func (c *Client) Edit(ctx context.Context, id stream.RowID, column int, v stream.Value) error {
	_, err := c.do(ctx, Call{Op: OpAlter, Table: id.Table, Limit: column,
		Items: []Item{{Row: row{Document: id.Document, Key: id.Key, Columns: []stream.Value{v}}}}})
	return err
}

// Backup returns all that the store holds.
func (c *Client) Backup(ctx context.Context) ([]byte, error) {
	a, err := c.do(ctx, Call{Op: OpBackup})
	return a.Backup, err
}

// Restore replaces all that the store holds by a backup.
func (c *Client) Restore(ctx context.Context, backup []byte) error {
	_, err := c.do(ctx, Call{Op: OpRestore, Backup: backup})
	return err
}

// Plan has a server inject faults from now on; the zero Plan ends them.
func (c *Client) Plan(ctx context.Context, p Plan) error {
	_, err := c.do(ctx, Call{Op: OpPlan, Plan: &p})
	return err
}
