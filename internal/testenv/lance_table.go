package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// LanceTable is a table of a server of Lance's REST namespace protocol, read and altered as any client can. Its methods may be called side by side.
type LanceTable struct{ server, name string }

// Table is a table by its name from the root, of parts with $ between them.
func (s *LanceServer) Table(name string) LanceTable { return LanceTableAt(s.URL(), name) }

// LanceTableAt is Table of whatever serves the protocol at a URL.
func LanceTableAt(url, name string) LanceTable { return LanceTable{url, name} }

// LanceRefusal is an answer that is no success.
type LanceRefusal struct {
	Status int
	Text   string
}

// Error is what the server says, cut.
func (r *LanceRefusal) Error() string { return fmt.Sprintf("status %d: %.300s", r.Status, r.Text) }

const formJSON = "application/json"

// Ask asks something of the table in JSON, such as query, update, delete or drop. What the server refuses is a *LanceRefusal.
func (t LanceTable) Ask(ctx context.Context, action string, body any) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return t.send(ctx, action, formJSON, text)
}

func (t LanceTable) send(ctx context.Context, action, form string, body []byte) ([]byte, error) {
	return t.post(ctx, "table/"+t.name+"/"+action, form, body)
}

func (t LanceTable) post(ctx context.Context, path, form string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.server+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", form)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusMultipleChoices {
		err = &LanceRefusal{answer.StatusCode, string(text)}
	}
	return text, err
}

// Query returns the rows that meet a condition in SQL, in any order, each a JSON object of its columns, bytes in base64. Without names, of all columns.
func (t LanceTable) Query(ctx context.Context, filter string, columns ...string) (rows []json.RawMessage, err error) {
	file, err := t.read(ctx, filter, columns)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for n := range file.NumRecords() {
		batch, err := file.RecordBatchAt(n)
		if err != nil {
			return nil, err
		}
		text, err := array.RecordToStructArray(batch).MarshalJSON()
		if err != nil {
			return nil, err
		}
		var some []json.RawMessage
		if err := json.Unmarshal(text, &some); err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

func (t LanceTable) read(ctx context.Context, filter string, columns []string) (*ipc.FileReader, error) {
	question := map[string]any{"k": 1_000_000, "vector": map[string]any{"single_vector": []float32{}}, "filter": filter}
	if len(columns) > 0 {
		question["columns"] = map[string]any{"column_names": columns}
	}
	body, err := t.Ask(ctx, "query", question)
	if err != nil {
		return nil, err
	}
	return ipc.NewFileReader(bytes.NewReader(body))
}

// Create makes the table, without rows, and the namespace of one part that it lies in.
func (t LanceTable) Create(ctx context.Context, schema *arrow.Schema) error {
	if namespace, _, in := strings.Cut(t.name, "$"); in {
		_, err := t.post(ctx, "namespace/"+namespace+"/create", formJSON, []byte("{}"))
		var refusal *LanceRefusal
		if err != nil && (!errors.As(err, &refusal) || refusal.Status != http.StatusConflict) {
			return err
		}
	}
	return t.stream(ctx, "create", array.NewRecordBatch(schema, empty(schema), 0))
}

func empty(schema *arrow.Schema) (columns []arrow.Array) {
	for _, f := range schema.Fields() {
		columns = append(columns, array.MakeArrayOfNull(memory.DefaultAllocator, f.Type, 0))
	}
	return columns
}

// Merge writes rows over those that have the same value in a column, whatever they hold, and inserts the others.
func (t LanceTable) Merge(ctx context.Context, on string, rows arrow.RecordBatch) error {
	return t.stream(ctx, "merge_insert?when_matched_update_all=true&when_not_matched_insert_all=true&on="+on, rows)
}

// Put is Merge of one row, a JSON object as Query returns it.
func (t LanceTable) Put(ctx context.Context, on string, row any) error {
	file, err := t.read(ctx, "false", nil)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := json.Marshal([]any{row})
	if err != nil {
		return err
	}
	rows, _, err := array.RecordFromJSON(memory.DefaultAllocator, file.Schema(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	return t.Merge(ctx, on, rows)
}

// stream sends rows.
func (t LanceTable) stream(ctx context.Context, action string, rows arrow.RecordBatch) error {
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(rows.Schema()))
	if err := errors.Join(w.Write(rows), w.Close()); err != nil {
		return err
	}
	_, err := t.send(ctx, action, "application/vnd.apache.arrow.stream", b.Bytes())
	return err
}
