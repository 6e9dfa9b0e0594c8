package flow

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema(testRegistry())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource(schemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance reads YAML as JSON values, as an editor does before it validates.
func instance(src []byte) (any, error) {
	b, err := yaml.YAMLToJSON(src)
	if err != nil {
		return nil, err
	}
	return jsonschema.UnmarshalJSON(bytes.NewReader(b))
}

func accepts(s *jsonschema.Schema, src []byte) bool {
	v, err := instance(src)
	return err == nil && s.Validate(v) == nil
}

func TestSchemaAcceptsGoodFlows(t *testing.T) {
	s := compiledSchema(t)
	paths, _ := filepath.Glob("testdata/*.good.yaml")
	for _, path := range paths {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v, err := instance(src)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSchemaRefusesWhatTheDecoderRefuses(t *testing.T) {
	s := compiledSchema(t)
	cases := []struct{ name, from, to string }{
		{"unknown key of a flow", "flow:", "flwo: x\nflow:"},
		{"unknown key of a node", "in: body,", "in: body, inn: x,"},
		{"unknown setting", "max_tokens", "max_token"},
		{"unknown setting of a model", "batch", "batches"},
		{"unknown operator", "split.markdown", "split.mark"},
		{"unknown source", "{ files:", "{ file:"},
		{"unknown setting of a source", "root:", "rot:"},
		{"unknown sink", "sqlite", "sqlit"},
		{"unknown key of a table", "key:", "kee:"},
		{"wrong type", "max_tokens: 256", "max_tokens: many"},
		{"out of range", "max_tokens: 256", "max_tokens: 0"},
		{"too many standbys", "flow:", "standbys: 4\nflow:"},
		{"standbys that are no number", "flow:", "standbys: one\nflow:"},
		{"a rate that is no number", "batch: 64", "rate: fast"},
		{"no attempts", "flow:", "retry: { attempts: 0 }\nflow:"},
		{"unknown key of retry", "flow:", "retry: { times: 3 }\nflow:"},
		{"an ID formula of files", "sources: { page: {", "sources: { page: { id: record.key, "},
		{"two inputs", "in: page.content ", "in: page.content, in_by_source: { page: page.content } "},
		{"a branch that is a list", "in: page.content ", "in_by_source: { page: [page.content] } "},
		{"missing name", "flow: handbook", "kafka: {}"},
		{"missing input", "in: page.content ", ""},
		{"missing required setting", "model: nomic,", ""},
		{"no columns", "{ path: page.path, embedding: vector }", "{}"},
		{"no tables", "tables: [chunks]", "tables: []"},
		{"a written-out secret", "batch: 64", "api_key: abc"},
		{"what isn't built", "flow:", "limits: {}\nflow:"},
		{"unknown key of the state", "flow:", "state: { memo_retentoin: 168h }\nflow:"},
		{"a retention without a unit", "flow:", "state: { memo_retention: 168 }\nflow:"},
		{"a retention that is none", "flow:", "state: { memo_retention: never }\nflow:"},
		{"key without for", "for: chunk,", ""},
		{"bad column name", "path: page.path", "_path: page.path"},
	}
	if !accepts(s, []byte(handbook)) {
		t.Fatal("the schema refuses the example")
	}
	for _, c := range cases {
		src := []byte(strings.Replace(handbook, c.from, c.to, 1))
		if accepts(s, src) {
			t.Errorf("%s: the schema accepts it", c.name)
		}
		if _, err := Parse("flow.yaml", src, testRegistry()); err == nil {
			t.Errorf("%s: the decoder accepts it", c.name)
		}
	}
}

// TestUnknownKeysAgree plants a key anywhere in a flow: decoder and schema must agree on whether it is known.
func TestUnknownKeysAgree(t *testing.T) {
	s := compiledSchema(t)
	base := readTree("flow.yaml", []byte(handbook), &faultList{})
	var mappings []place
	var walk func(x *tree)
	walk = func(x *tree) {
		if x.shape == shapeMapping {
			mappings = append(mappings, x.at)
		}
		for _, e := range x.entries {
			walk(e.value)
		}
	}
	walk(base)
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.SampledFrom(mappings).Draw(rt, "mapping")
		key := rapid.StringMatching(`zz[a-z]{2,5}`).Draw(rt, "key")
		lines := strings.Split(handbook, "\n")
		line := []rune(lines[at.line-1])
		if line[at.column-1] == '{' {
			lines[at.line-1] = string(line[:at.column]) + " " + key + ": 1," + string(line[at.column:])
		} else {
			lines[at.line-1] = strings.Repeat(" ", at.column-1) + key + ": 1\n" + lines[at.line-1]
		}
		src := []byte(strings.Join(lines, "\n"))
		_, err := Parse("flow.yaml", src, testRegistry())
		known := err == nil
		if accepts(s, src) != known {
			rt.Fatalf("key %s at %s: decoder accepts: %v (%v)", key, at, known, err)
		}
		if !known && !strings.Contains(err.Error(), key) {
			rt.Fatalf("no fault names %s: %v", key, err)
		}
	})
}

func TestSchemaIsStable(t *testing.T) {
	one, two := Schema(testRegistry()), Schema(testRegistry())
	if !bytes.Equal(one, two) || !json.Valid(one) {
		t.Error("the schema differs between runs, or is no JSON")
	}
	checkGolden(t, "testdata/schema.golden.json", string(one))
}
