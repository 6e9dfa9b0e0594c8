package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// FeastRow is what a reader is given of one join key: features by name, and the event timestamp; that is the zero time where there is nothing.
type FeastRow struct {
	Features map[string]json.RawMessage
	At       time.Time
}

// Online reads all features of a view for some join keys, in their order, as any client does.
func (s *FeastServer) Online(ctx context.Context, v FeastView, keys ...string) ([]FeastRow, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	var features []string
	for f := range v.Features {
		features = append(features, v.View+":"+f)
	}
	text, err := s.Ask(ctx, "get-online-features", map[string]any{"features": features, "entities": map[string][]string{v.Key[0]: keys}})
	if err != nil {
		return nil, err
	}
	var a struct {
		Metadata struct {
			Names []string `json:"feature_names"`
		}
		Results []struct {
			Values []json.RawMessage
			At     []time.Time `json:"event_timestamps"`
		}
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, fmt.Errorf("%.200s: %w", text, err)
	}
	rows := make([]FeastRow, len(keys))
	for n := range rows {
		rows[n].Features = map[string]json.RawMessage{}
		for f, name := range a.Metadata.Names {
			if _, is := v.Features[name]; is {
				rows[n].Features[name] = a.Results[f].Values[n]
				rows[n].At = a.Results[f].At[n]
			}
		}
		if rows[n].At.Unix() == 0 {
			rows[n].At = time.Time{}
		}
	}
	return rows, nil
}

// Push writes a row of a view a moment above the one that is held, as any client does.
func (s *FeastServer) Push(ctx context.Context, v FeastView, key string, row FeastRow) error {
	df := map[string][]any{v.Key[0]: {key}, "event_timestamp": {row.At.Add(time.Microsecond).UTC().Format("2006-01-02T15:04:05.000000Z")}}
	for name, value := range row.Features {
		df[name] = []any{value}
	}
	_, err := s.Ask(ctx, "push", map[string]any{"push_source_name": v.View, "df": df})
	return err
}

// pagesOf reads pages of Freshet's bookkeeping, "" for those that are not there.
func (s *FeastServer) pagesOf(ctx context.Context, books string, names ...string) (bodies []string, err error) {
	rows, err := s.Online(ctx, FeastBooks(books), names...)
	for _, r := range rows {
		body := ""
		if err := json.Unmarshal(r.Features["_body"], &body); err != nil {
			return nil, err
		}
		bodies = append(bodies, body)
	}
	return bodies, err
}

// Document reads a document of Freshet's bookkeeping, "" for one that is not there.
func (s *FeastServer) Document(ctx context.Context, books, key string) (string, error) {
	bodies, err := s.pagesOf(ctx, books, "document/"+key)
	if err != nil {
		return "", err
	}
	return bodies[0], nil
}

// Listed returns the join keys of the rows that a table of so many pages has, in order.
func (s *FeastServer) Listed(ctx context.Context, books, view string, pages int) (keys []string, err error) {
	var names []string
	for n := range pages {
		names = append(names, fmt.Sprintf("rows/%s/%d", view, n))
	}
	bodies, err := s.pagesOf(ctx, books, names...)
	for _, body := range bodies {
		var entries []struct {
			Document string `json:"d"`
			Key      string `json:"k"`
			Deleted  int64  `json:"x"`
		}
		if body == "" {
			continue
		}
		if err := json.Unmarshal([]byte(body), &entries); err != nil {
			return nil, fmt.Errorf("%.200s: %w", body, err)
		}
		for _, e := range entries {
			if e.Deleted == 0 {
				keys = append(keys, e.Document+":"+e.Key)
			}
		}
	}
	slices.Sort(keys)
	return keys, err
}
