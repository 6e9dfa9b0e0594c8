package opensearch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

const cosine = "cosinesimil"

// property is a field of a mapping, or an object of them, as the server writes it too.
type property struct {
	Type            string              `json:"type,omitempty"`
	Dynamic         string              `json:"dynamic,omitempty"`
	Properties      map[string]property `json:"properties,omitempty"`
	Fields          map[string]property `json:"fields,omitempty"`
	Index           *bool               `json:"index,omitempty"`
	DocValues       *bool               `json:"doc_values,omitempty"`
	Enabled         *bool               `json:"enabled,omitempty"`
	IgnoreMalformed bool                `json:"ignore_malformed,omitempty"`
	IgnoreAbove     int                 `json:"ignore_above,omitempty"`
	Format          string              `json:"format,omitempty"`
	Analyzer        string              `json:"analyzer,omitempty"`
	Dimension       int                 `json:"dimension,omitempty"`
	DataType        string              `json:"data_type,omitempty"`
	Method          *method             `json:"method,omitempty"`
}

// method is how a vector field is indexed.
type method struct {
	Name       string         `json:"name"`
	Engine     string         `json:"engine"`
	Space      string         `json:"space_type"`
	Parameters map[string]int `json:"parameters,omitempty"`
}

const (
	strict      = "strict"
	longestTerm = maxTerm / 4 // in characters, of four bytes at most
)

var no = new(bool)

// kept is text that is not to be searched.
func kept() property { return property{Type: "keyword", Index: no, DocValues: no} }

// ownProperties are those of `_freshet`.
func ownProperties() property {
	return property{Dynamic: strict, Properties: map[string]property{"document": {Type: "keyword"}, "key": {Type: "keyword"}, "version": {Type: "long"},
		"epoch": {Type: "long"}, "partition": {Type: "integer"}, "deleted": {Type: "boolean"}, "at": {Type: "long"}, "lineage": kept(), "exact": {Type: "binary"}}}
}

// mapping is that of a table. Nothing is added to it by what is written.
func (t *table) mapping() property {
	all := map[string]property{ownField: ownProperties()}
	for _, c := range t.columns {
		all[c.field] = t.property(c.Field)
	}
	return property{Dynamic: strict, Properties: all}
}

func (t *table) property(c stream.Field) property {
	switch c.Type.Kind {
	case stream.String:
		if slices.Contains(t.keywords, c.Name) {
			return property{Type: "keyword", IgnoreAbove: longestTerm}
		}
		return property{Type: "text", Analyzer: t.analyzer, Fields: map[string]property{"keyword": {Type: "keyword", IgnoreAbove: 256}}}
	case stream.List:
		if c.Type.Elem != nil {
			return scalar(c.Type.Elem.Kind)
		}
	case stream.Vector:
		return t.vector(c.Type)
	}
	return scalar(c.Type.Kind)
}

// scalar is a field of values, or of lists of them. What a number or a time can't say is kept and not indexed.
func scalar(kind stream.Kind) property {
	switch kind {
	case stream.String:
		return property{Type: "keyword", IgnoreAbove: longestTerm}
	case stream.Bool:
		return property{Type: "boolean"}
	case stream.Int:
		return property{Type: "long"}
	case stream.Double, stream.Decimal:
		return property{Type: "double", IgnoreMalformed: true}
	case stream.Timestamp:
		return property{Type: "date", Format: "strict_date_optional_time_nanos", IgnoreMalformed: true}
	case stream.Bytes:
		return property{Type: "binary"}
	}
	return property{Type: "object", Enabled: no}
}

func (t *table) vector(of stream.Type) property {
	p := property{Type: "knn_vector", Dimension: of.Dims, Method: &method{Name: "hnsw", Engine: "lucene", Space: t.space, Parameters: map[string]int{}}}
	if of.Element == stream.I8 {
		p.DataType = "byte"
	}
	if t.m > 0 {
		p.Method.Parameters["m"] = t.m
	}
	if t.construction > 0 {
		p.Method.Parameters["ef_construction"] = t.construction
	}
	return p
}

// described says what makes up a mapping, field by field, in words that outlive the server's ways of writing defaults down.
func (p property) described(path string) (parts []string) {
	if p.Type != "" && path != "" {
		text := fmt.Sprintf("%q %s", path, p.Type)
		if p.Dimension > 0 {
			text += fmt.Sprintf("(%s%d)", strings.ToLower(p.DataType), p.Dimension)
		}
		if p.Method != nil {
			text += " " + p.Method.Space
		}
		parts = append(parts, text)
	}
	if path != "" {
		path += "."
	}
	for _, of := range []map[string]property{p.Properties, p.Fields} {
		for _, name := range slices.Sorted(maps.Keys(of)) {
			parts = append(parts, of[name].described(path+name)...)
		}
	}
	return parts
}

// UnmarshalJSON takes the server's ways: dynamic may be a word or a boolean, parameters of a method hold more than numbers.
func (m *method) UnmarshalJSON(text []byte) error {
	var held struct {
		Space string `json:"space_type"`
	}
	err := json.Unmarshal(text, &held)
	m.Space = held.Space
	return err
}
