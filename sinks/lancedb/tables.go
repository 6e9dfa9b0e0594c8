package lancedb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// none is a body without content.
type none struct{}

// makeNamespace makes what is absent of the namespace, from the root; a twin may be faster.
func (s *store) makeNamespace(ctx context.Context) error {
	for n := range s.namespace {
		path := s.namespace[:n+1]
		r, err := about("look for a namespace", "namespace", path, "exists", none{})
		if err != nil {
			return err
		}
		if err = s.do(ctx, r, nil); err == nil {
			continue
		}
		if !isAbsent(err) {
			return err
		}
		if r, err = about("make a namespace", "namespace", path, "create", none{}); err != nil {
			return err
		}
		if err = s.do(ctx, r, nil); err != nil && !isStatus(err, http.StatusConflict) {
			return err
		}
	}
	return nil
}

// encoded is a batch as a stream in Arrow's IPC format.
func encoded(batch arrow.RecordBatch) ([]byte, error) {
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(batch.Schema()))
	if err := w.Write(batch); err != nil {
		return nil, fmt.Errorf("encode rows: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encode rows: %w", err)
	}
	return b.Bytes(), nil
}

// create makes a table that is absent; a twin may be faster.
func (s *store) create(ctx context.Context, p *place) error {
	_, err := s.describe(ctx, p)
	if err == nil || !isAbsent(err) {
		return err
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, p.schema)
	defer b.Release()
	body, err := encoded(b.NewRecordBatch())
	if err != nil {
		return err
	}
	err = s.do(ctx, request{doing: "make a table", kind: "table", path: s.of(p), action: "create", form: typeArrow, body: body}, nil)
	if err == nil {
		return nil
	}
	if _, again := s.describe(ctx, p); again == nil {
		return nil
	}
	return err
}

// Create makes a table. See guard.Tables.
func (s *store) Create(ctx context.Context, kept guard.Table) error {
	t, err := s.table(kept.As)
	if err != nil {
		return err
	}
	return s.create(ctx, t.place)
}

// Drop removes a table if it exists, and fronts that show it before. See guard.Tables.
func (s *store) Drop(ctx context.Context, name string) error {
	p := &place{name: escaped(name)}
	if err := s.hide(ctx, p); err != nil {
		return err
	}
	if err := s.tell(ctx, "drop a table", p, "drop", none{}, nil); err != nil && !isAbsent(err) {
		return err
	}
	return nil
}

// description is a table as the server describes it.
type description struct {
	Version int64
	Schema  struct {
		Fields []struct {
			Name     string
			Nullable bool
			Type     json.RawMessage
			Metadata map[string]string
		}
	}
}

// describe looks at a table as it is now.
func (s *store) describe(ctx context.Context, p *place) (d description, err error) {
	ask := struct {
		Detailed bool `json:"load_detailed_metadata"`
	}{true}
	err = s.tell(ctx, "look at a table", p, "describe", ask, &d)
	return d, err
}

// Shape describes a table: its columns in order. Rows, versions and indexes are no part of it. See guard.Tables.
func (s *store) Shape(ctx context.Context, name string) (shape string, exists bool, err error) {
	t, err := s.table(name)
	if err != nil {
		return "", false, err
	}
	d, err := s.describe(ctx, t.place)
	if isAbsent(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	shape, err = d.text()
	return shape, true, err
}

// text lists the columns, each always in the same way.
func (d description) text() (string, error) {
	var parts []string
	for _, f := range d.Schema.Fields {
		var of any // sorts its keys when it is written
		if err := json.Unmarshal(f.Type, &of); err != nil {
			return "", stream.Errorf(stream.Transient, "lancedb: look at a table", "column %q has no type in the answer: %w", f.Name, err)
		}
		kind, err := json.Marshal(of)
		if err != nil {
			return "", err
		}
		part := fmt.Sprintf("%q %s", f.Name, kind)
		if !f.Nullable {
			part += " not null"
		}
		for _, key := range slices.Sorted(maps.Keys(f.Metadata)) {
			part += fmt.Sprintf(" %s=%s", key, f.Metadata[key])
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", "), nil
}

func (s *store) table(name string) (*table, error) {
	if t := s.tables[name]; t != nil {
		return t, nil
	}
	return nil, stream.Errorf(stream.Internal, "lancedb", "table %q is not one of this target's", name)
}
