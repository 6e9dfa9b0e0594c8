package extract_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/operators/extract"
	"github.com/freshet-dev/freshet/stream"
)

const (
	key    = "sk-very-secret"
	prompt = "List the \"people\".\n"
	schema = `{
  "type": "object",
  "properties": {
    "people": { "type": "array", "items": { "$ref": "#/$defs/person" } }
  },
  "required": ["people"], "additionalProperties": false,
  "$defs": {
    "person": { "type": "object", "properties": { "name": { "type": "string", "minLength": 1 }, "age": { "type": ["integer", "null"] } },
      "required": ["name", "age"], "additionalProperties": false }
  }
}`
	fits = `{"people": [{"name": "Ada", "age": 36}, {"age": null, "name": "Eve"}]}`
)

// use is a checked use of extract with the files in a directory of their own.
func use(t *testing.T, url, schema string, more ...stream.Entry) stream.Settings {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"form.json": schema, "prompt.txt": prompt, "key": key + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	provider := extract.OpenAI()
	own := append([]stream.Entry{
		{Key: "model", Value: stream.StringOf("m")},
		{Key: "base_url", Value: stream.StringOf(url + "/v1?tenant=hidden-tenant")},
		{Key: "api_key", Value: stream.StringOf("file:" + filepath.Join(dir, "key"))},
		{Key: "concurrency", Value: stream.IntOf(7)},
		{Key: "timeout", Value: stream.IntOf(int64(20 * time.Second))},
	}, more...)
	return stream.Settings{Dir: dir,
		Values: stream.MapOf(stream.Entry{Key: "prompt", Value: stream.StringOf("prompt.txt")}, stream.Entry{Key: "schema", Value: stream.StringOf("form.json")}),
		Model:  &stream.Model{Name: "llm", Provider: &provider, Settings: stream.Settings{Values: stream.MapOf(own...)}}}
}

func operator(t *testing.T, handler http.HandlerFunc, more ...stream.Entry) stream.Operator {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	op, err := extract.Spec().New(use(t, server.URL, schema, more...))
	if err != nil {
		t.Fatal(err)
	}
	return op
}

// says writes an answer of the protocol.
func says(w io.Writer, content string) {
	text, _ := json.Marshal(content)
	fmt.Fprintf(w, `{"id":"1","choices":[{"index":0,"message":{"role":"assistant","content":%s,"refusal":null},"finish_reason":"stop"}],"usage":{"total_tokens":9}}`, text)
}

func ask(t *testing.T, op stream.Operator, text string) (stream.Value, error) {
	t.Helper()
	out, err := op.Apply(t.Context(), []stream.Value{stream.StringOf(text)})
	if err != nil {
		return stream.Value{}, err
	}
	return out[0], nil
}

// TestRequest: what is sent is what the protocol has, and what comes back has the schema's type.
func TestRequest(t *testing.T) {
	op := operator(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		const want = `{"max_tokens":100,"temperature":0.5,"model":"m","response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":%s}},` +
			`"messages":[{"role":"system","content":"List the \"people\".\n"},{"role":"user","content":"Ada & \u003cEve\u003e\n"}]}`
		var compact strings.Builder
		for line := range strings.Lines(schema) {
			compact.WriteString(strings.TrimSpace(line))
		}
		sent := strings.ReplaceAll(strings.ReplaceAll(fmt.Sprintf(want, compact.String()), " ", ""), `\u0026`, "&")
		if got := strings.ReplaceAll(strings.ReplaceAll(string(body), " ", ""), `\u0026`, "&"); got != sent {
			t.Errorf("sent\n%s\nwant\n%s", got, sent)
		}
		if !json.Valid(body) || r.Method != http.MethodPost || r.URL.String() != "/v1/chat/completions?tenant=hidden-tenant" || r.Header.Get("Authorization") != "Bearer "+key {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		says(w, fits)
	}, stream.Entry{Key: "parameters", Value: stream.MapOf(stream.Entry{Key: "temperature", Value: stream.DoubleOf(0.5)}, stream.Entry{Key: "max_tokens", Value: stream.IntOf(100)})})
	v, err := ask(t, op, "Ada & <Eve>\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.String(), `{"people": [{"age": 36, "name": "Ada"}, {"age": null, "name": "Eve"}]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, batches := op.(stream.Batcher); batches || op.(stream.Concurrent).Concurrency() != 7 || op.(stream.Instructed).Told() != prompt+schema {
		t.Error("a request takes one text, seven run at a time, and the plan must know what goes along with each")
	}
}

// TestAnswersThatAreNone: what does not keep the schema, was cut off or refused quarantines its document; nothing of it is quoted.
func TestAnswersThatAreNone(t *testing.T) {
	for name, c := range map[string]struct {
		answer, want string
		kind         stream.ErrorKind
	}{
		"no JSON":         {`{"choices":[{"message":{"content":"Well, people:"}}]}`, "is no JSON", stream.Invalid},
		"a rule broken":   {`{"choices":[{"message":{"content":"{\"people\":[{\"name\":\"\",\"age\":1}]}"}}]}`, "minLength of /people/0/name", stream.Invalid},
		"a field missing": {`{"choices":[{"message":{"content":"{\"people\":[{\"name\":\"Ada\"}]}"}}]}`, "required of /people/0", stream.Invalid},
		"a field more":    {`{"choices":[{"message":{"content":"{\"people\":[],\"x\":1}"}}]}`, "additionalProperties of /", stream.Invalid},
		"cut off":         {`{"choices":[{"message":{"content":"{\"peop"},"finish_reason":"length"}]}`, "raise its limit in `parameters`", stream.Invalid},
		"filtered":        {`{"choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, "filter", stream.Invalid},
		"refused":         {`{"choices":[{"message":{"content":null,"refusal":"I can't, ` + key + `"}}]}`, "the model refuses: I can't, «hidden»", stream.Invalid},
		"empty":           {`{"choices":[{"message":{"content":" "}}]}`, "answers nothing", stream.Invalid},
		"no choice":       {`{"choices":[]}`, "check base_url", stream.Usage},
		"another server":  {`<html>`, "check base_url", stream.Usage},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ask(t, operator(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.answer) }), "secret text")
			if stream.KindOf(err) != c.kind || !strings.Contains(fmt.Sprint(err), c.want) || !strings.Contains(fmt.Sprint(err), "model llm") {
				t.Errorf("got %v (%s), want %s with %q", err, stream.KindOf(err), c.kind, c.want)
			}
			if strings.Contains(fmt.Sprint(err), key) || strings.Contains(fmt.Sprint(err), "secret text") {
				t.Errorf("it tells too much: %v", err)
			}
		})
	}
}

// TestRefusals: an answer's status gives its class, and how long to wait.
func TestRefusals(t *testing.T) {
	for status, kind := range map[int]stream.ErrorKind{400: stream.Invalid, 401: stream.Unauthorised, 404: stream.Usage, 429: stream.Throttled, 503: stream.Transient} {
		_, err := ask(t, operator(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3")
			http.Error(w, "no "+key, status)
		}), "a")
		var e *stream.Error
		if !errors.As(err, &e) || e.Kind != kind || e.RetryAfter != 3*time.Second || strings.Contains(err.Error(), key) {
			t.Errorf("%d: %v, class %s, want %s", status, err, stream.KindOf(err), kind)
		}
	}
}

// TestOneOfSeveral: an input that fails spoils no other.
func TestOneOfSeveral(t *testing.T) {
	op := operator(t, func(w http.ResponseWriter, _ *http.Request) { says(w, fits) })
	out, err := op.Apply(t.Context(), []stream.Value{stream.IntOf(1), stream.StringOf("a")})
	var some *stream.BatchError
	if !errors.As(err, &some) || len(some.Failed) != 1 || stream.KindOf(some.Failed[0]) != stream.Invalid || out[1].IsNull() {
		t.Errorf("%v, %v", out, err)
	}
}

// TestTypes: a schema gives the type that columns and formulas see.
func TestTypes(t *testing.T) {
	for in, want := range map[string]string{
		`{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"}},"required":["a","b"],"additionalProperties":false}`:          "map{a: string, b: double}",
		`{"type":"object","properties":{"a":{"type":"boolean"},"b":{"type":"integer"}},"required":["b"],"additionalProperties":false}`:            "map{a: bool?, b: int}",
		`{"type":"object","properties":{"a":{"anyOf":[{"type":"null"},{"type":"string"}]}},"required":["a"],"additionalProperties":false}`:        "map{a: string?}",
		`{"type":"object","properties":{"a":{"type":"array","items":{"type":["integer","null"]}}},"required":["a"],"additionalProperties":false}`: "map{a: list(int?)}",
	} {
		got, err := extract.Spec().Output(stream.TypeString, use(t, "http://localhost", in))
		if err != nil || got.String() != want {
			t.Errorf("%s is %s, %v, want %s", in, got, err, want)
		}
	}
}

// TestWrongSchemas: a schema that gives no type says where, and what to do.
func TestWrongSchemas(t *testing.T) {
	object := func(of string) string {
		return `{"type":"object","properties":{"a":` + of + `},"required":["a"],"additionalProperties":false,"$defs":{"t":{"$ref":"#/$defs/t"}}}`
	}
	for in, want := range map[string]string{
		`{`: "schema form.json: ",
		`{"type":"array","items":{"type":"string"}}`:             "an answer must be an object, not list(string)",
		`{"type":"object"}`:                                      "at #: write the object's `properties`",
		`{"type":"object","properties":{"a":{"type":"string"}}}`: "at #: write `\"additionalProperties\": false`",
		object(`true`):                                                    "at #/properties/a: write an object that says a `type`",
		object(`{"enum":["x"]}`):                                          "at #/properties/a: write one `type`",
		object(`{"type":["string","integer"]}`):                           "at #/properties/a: write one `type`",
		object(`{"type":"text"}`):                                         "at #/properties/a: unknown type \"text\"",
		object(`{"type":"array"}`):                                        "at #/properties/a: write the array's `items`",
		object(`{"oneOf":[{"type":"string"},{"type":"integer"}]}`):        "at #/properties/a/oneOf: a value has one type",
		object(`{"$ref":"#/$defs/t"}`):                                    "#/$defs/t is within itself",
		object(`{"$ref":"#/$defs/none"}`):                                 `there is no "#/$defs/none"`,
		object(`{"$ref":"https://example.com/schema.json"}`):              `there is no "https://example.com/schema.json"`,
		object(`{"type":"string","minLength":"one"}`):                     "minLength",
		object(`{"type":"object","properties":{"b":{"type":"nothing"}}}`): "at #/properties/a",
	} {
		_, err := extract.Spec().Output(stream.TypeString, use(t, "http://localhost", in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}

// TestWrongUses are refused before anything runs.
func TestWrongUses(t *testing.T) {
	vectors := use(t, "http://localhost", schema)
	vectors.Model = &stream.Model{Name: "lexical", Provider: &stream.ProviderSpec{Name: "hash"}}
	reserved := use(t, "http://localhost", schema, stream.Entry{Key: "parameters", Value: stream.MapOf(stream.Entry{Key: "stream", Value: stream.BoolOf(true)})})
	gone := use(t, "http://localhost", schema)
	if err := os.Remove(gone.Path("prompt")); err != nil {
		t.Fatal(err)
	}
	_, ofInt := extract.Spec().Output(stream.TypeInt, use(t, "http://localhost", schema))
	_, ofVectors := extract.Spec().Output(stream.TypeString, vectors)
	_, opened := extract.Spec().New(vectors)
	_, streaming := extract.Spec().New(reserved)
	_, unprompted := extract.Spec().New(gone)
	for want, err := range map[string]error{"not int": ofInt, "model that answers;": ofVectors, "no model that answers": opened,
		"parameters: stream is written by Freshet": streaming, "prompt.txt": unprompted} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
