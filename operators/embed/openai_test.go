package embed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/freshet-dev/freshet/operators/embed"
	"github.com/freshet-dev/freshet/stream"
)

const key = "sk-very-secret"

func settings(extra ...stream.Entry) stream.Settings {
	all := append([]stream.Entry{
		{Key: "model", Value: stream.StringOf("m")},
		{Key: "dimensions", Value: stream.IntOf(2)},
		{Key: "batch", Value: stream.IntOf(8)},
		{Key: "timeout", Value: stream.IntOf(int64(20 * time.Second))},
	}, extra...)
	return stream.Settings{Values: stream.MapOf(all...)}
}

// model is an embed operator whose provider is openai at the given server, with a key out of a file.
func model(t *testing.T, url string, extra ...stream.Entry) stream.Operator {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	provider := embed.OpenAI()
	extra = append([]stream.Entry{
		{Key: "base_url", Value: stream.StringOf(url + "/v1?tenant=hidden-tenant")},
		{Key: "api_key", Value: stream.StringOf("file:" + file)}}, extra...)
	op, err := embed.Spec().New(stream.Settings{Model: &stream.Model{Name: "small", Provider: &provider, Settings: settings(extra...)}})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server.URL
}

func texts(s ...string) []stream.Value {
	out := make([]stream.Value, len(s))
	for i := range s {
		out[i] = stream.StringOf(s[i])
	}
	return out
}

func TestOpenAIReordered(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var got struct {
			Model, EncodingFormat string
			Input                 []string
			Encoding              string `json:"encoding_format"`
		}
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
		if r.Method != http.MethodPost || r.URL.String() != "/v1/embeddings?tenant=hidden-tenant" ||
			r.Header.Get("Authorization") != "Bearer "+key || got.Model != "m" || got.Encoding != "float" ||
			strings.Join(got.Input, ",") != "a,b,c" {
			t.Errorf("%s %s %v %+v", r.Method, r.URL, r.Header, got)
		}
		fmt.Fprint(w, `{"object":"list","data":[{"index":2,"embedding":[5, 6e-1]},{"index":0,"embedding":[1,-2]},{"index":1,"embedding":[ 3 , 4 ]}],"usage":{"total_tokens":3}}`)
	})
	op := model(t, url)
	if b, ok := op.(stream.Batcher); !ok || b.BatchSize() != 8 {
		t.Error("the operator takes no batches of 8")
	}
	out, err := op.Apply(t.Context(), texts("a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(out[0].Floats(), out[1].Floats(), out[2].Floats()); got != "[1 -2] [3 4] [5 0.6]" {
		t.Error(got)
	}
}

func TestOpenAIWithoutIndexes(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[{"embedding":[1,2]},{"embedding":[3,4]}]}`)
	})
	out, err := model(t, url).Apply(t.Context(), []stream.Value{stream.StringOf("a"), stream.IntOf(1), stream.StringOf("b")})
	var batch *stream.BatchError
	if !errors.As(err, &batch) || len(batch.Failed) != 1 || stream.KindOf(batch.Failed[1]) != stream.Invalid {
		t.Fatal(err)
	}
	if got := fmt.Sprint(out[0].Floats(), out[2].Floats()); got != "[1 2] [3 4]" {
		t.Error(got)
	}
}

func TestOpenAIRefusals(t *testing.T) {
	date := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		status int
		after  string
		kind   stream.ErrorKind
		least  time.Duration
	}{
		{400, "", stream.Invalid, 0}, {413, "", stream.Invalid, 0}, {422, "", stream.Invalid, 0},
		{401, "", stream.Unauthorised, 0}, {403, "", stream.Unauthorised, 0},
		{404, "", stream.Usage, 0}, {405, "", stream.Usage, 0}, {307, "", stream.Usage, 0},
		{408, "", stream.Transient, 0}, {500, "", stream.Transient, 0}, {502, "", stream.Transient, 0},
		{503, "3", stream.Transient, 3 * time.Second},
		{429, "", stream.Throttled, 0}, {429, "1.5", stream.Throttled, 1500 * time.Millisecond},
		{429, date, stream.Throttled, 59 * time.Minute}, {429, "NaN", stream.Throttled, 0}, {429, "-1", stream.Throttled, 0},
		{429, "1e300", stream.Throttled, 24 * time.Hour}, {429, "soon", stream.Throttled, 0},
	} {
		t.Run(fmt.Sprint(c.status, c.after), func(t *testing.T) {
			calls := 0
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				calls++
				w.Header().Set("Retry-After", c.after)
				w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
				w.WriteHeader(c.status)
				fmt.Fprintf(w, "wrong key %s\n%s", key, strings.Repeat("x", 1000))
			})
			_, err := model(t, url).Apply(t.Context(), texts("a"))
			var e *stream.Error
			if !errors.As(err, &e) || e.Kind != c.kind {
				t.Fatalf("got %v (%s), want kind %s", err, stream.KindOf(err), c.kind)
			}
			if e.RetryAfter < c.least || e.RetryAfter > c.least+time.Minute {
				t.Errorf("retry after %s", e.RetryAfter)
			}
			text := err.Error()
			if strings.Contains(text, key) || strings.Contains(text, "hidden-tenant") || len(text) > 600 ||
				!strings.Contains(text, "small") || !strings.Contains(text, "wrong key «hidden» xxx") {
				t.Errorf("the message is %q", text)
			}
			if calls != 1 {
				t.Errorf("%d requests, want 1", calls)
			}
		})
	}
}

func TestOpenAIWrongAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"dimensions":   `{"data":[{"index":0,"embedding":[1,2,3]},{"index":1,"embedding":[1,2,3]}]}`,
		"no element":   `{"data":[{"index":0,"embedding":[]},{"index":1,"embedding":[]}]}`,
		"too few":      `{"data":[{"index":0,"embedding":[1,2]}]}`,
		"twice":        `{"data":[{"index":0,"embedding":[1,2]},{"index":0,"embedding":[1,2]}]}`,
		"beyond":       `{"data":[{"index":0,"embedding":[1,2]},{"index":2,"embedding":[1,2]}]}`,
		"null":         `{"data":[{"index":0,"embedding":[1,null]},{"index":1,"embedding":[1,2]}]}`,
		"out of range": `{"data":[{"index":0,"embedding":[1,1e99]},{"index":1,"embedding":[1,2]}]}`,
		"text":         `{"data":[{"index":0,"embedding":"AAAA"},{"index":1,"embedding":"AAAA"}]}`,
		"nothing":      `{}`,
		"page":         `<html>log in</html>`,
		"too large":    `{"data":[` + strings.Repeat(" ", 1<<20+200) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
			if _, err := model(t, url).Apply(t.Context(), texts("a", "b")); stream.KindOf(err) != stream.Usage || err == nil {
				t.Errorf("got %v", err)
			} else {
				t.Log(err)
			}
		})
	}
}

func TestOpenAIAway(t *testing.T) {
	defer goleak.VerifyNone(t)
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	}))
	slow := model(t, server.URL, stream.Entry{Key: "timeout", Value: stream.IntOf(int64(50 * time.Millisecond))})
	if _, err := slow.Apply(t.Context(), texts("a")); stream.KindOf(err) != stream.Transient || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the timeout: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := model(t, server.URL).Apply(ctx, texts("a")); stream.KindOf(err) != stream.Transient || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller's deadline: %v", err)
	}
	close(done)
	server.Close()
	_, err := model(t, server.URL).Apply(t.Context(), texts("a"))
	if stream.KindOf(err) != stream.Transient || strings.Contains(fmt.Sprint(err), "hidden-tenant") {
		t.Errorf("refused connection: %v", err)
	}
}

func TestOpenAICutAnswer(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"data":[`)
	})
	if _, err := model(t, url).Apply(t.Context(), texts("a")); stream.KindOf(err) != stream.Transient || err == nil {
		t.Errorf("got %v", err)
	}
}

func TestOpenAISettings(t *testing.T) {
	for name, e := range map[string]stream.Entry{
		"address":   {Key: "base_url", Value: stream.StringOf("localhost:11434/v1")},
		"reference": {Key: "base_url", Value: stream.StringOf("env:FRESHET_TEST_NOT_SET")},
		"key":       {Key: "api_key", Value: stream.StringOf("file:does/not/exist")},
	} {
		if _, err := model(t, "http://127.0.0.1:1", e).Apply(t.Context(), texts("a")); stream.KindOf(err) != stream.Usage || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	provider := embed.OpenAI()
	for name, e := range map[string]stream.Entry{
		"dimensions": {Key: "dimensions", Value: stream.IntOf(0)},
		"timeout":    {Key: "timeout", Value: stream.IntOf(0)},
	} {
		if _, err := provider.New(settings(e)); stream.KindOf(err) != stream.Usage || err == nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNewKeyIsSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer new" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"data":[{"embedding":[1,2]}]}`)
	})
	op := model(t, url, stream.Entry{Key: "api_key", Value: stream.StringOf("file:" + file)})
	for _, c := range []struct {
		key  string
		want stream.ErrorKind
	}{{"old", stream.Unauthorised}, {"new", stream.Internal}} {
		if err := os.WriteFile(file, []byte(c.key), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := op.Apply(t.Context(), texts("a")); stream.KindOf(err) != c.want || (err == nil) != (c.key == "new") {
			t.Errorf("key %s: %v", c.key, err)
		}
	}
}

// FuzzAnswer: whatever a server answers, there is a vector of two dimensions or an error of class Usage.
func FuzzAnswer(f *testing.F) {
	f.Add(`{"data":[{"index":0,"embedding":[1,2]}]}`)
	f.Add(`{"data":[{"index":0,"embedding":[[1],{"a":",2"}]}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		out, err := embed.ReadAnswer([]byte(body), 2)
		if err != nil && stream.KindOf(err) != stream.Usage {
			t.Fatal(err)
		}
		if err == nil && (len(out) != 1 || out[0].Dims() != 2) {
			t.Fatalf("got %v", out)
		}
	})
}
