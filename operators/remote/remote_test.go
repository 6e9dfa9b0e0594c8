package remote_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
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

	"github.com/freshet-dev/freshet/operators/remote"
	"github.com/freshet-dev/freshet/stream"
)

const token = "very-secret"

var tagType = stream.ListType(stream.MapType(stream.Field{Name: "at", Type: stream.TypeTimestamp.OrNull()}, stream.Field{Name: "name", Type: stream.TypeString}))

func entry(name string, v stream.Value) stream.Entry { return stream.Entry{Key: name, Value: v} }

// service is the operator over a server, with a token out of a file.
func service(t *testing.T, url string, more ...stream.Entry) stream.Operator {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := append([]stream.Entry{entry("url", stream.StringOf(url+"/tags?tenant=hidden-tenant")), entry("version", stream.StringOf("blip-2")),
		entry("token", stream.StringOf("file:"+file)), entry("batch", stream.IntOf(8)), entry("deadline", stream.IntOf(int64(time.Minute)))}, more...)
	op, err := remote.Spec().New(stream.Settings{Values: stream.MapOf(all...), Types: map[string]stream.Type{"returns": tagType}})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func texts(s ...string) []stream.Value {
	out := make([]stream.Value, len(s))
	for i := range s {
		out[i] = stream.StringOf(s[i])
	}
	return out
}

func TestRequestAndAnswer(t *testing.T) {
	t.Setenv("FRESHET_TEST_TENANT", "acme")
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		want := `{"version":"blip-2","returns":[{"at":"timestamp?","name":"string"}],"settings":{"near":0.5},"items":["a","b"]}`
		if string(body) != want || r.Method != http.MethodPost || r.URL.String() != "/tags?tenant=hidden-tenant" ||
			r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Tenant") != "acme" {
			t.Errorf("%s %s %v\n%s\nwant\n%s", r.Method, r.URL, r.Header, body, want)
		}
		fmt.Fprint(w, `{"version":"blip-2","results":[{"value":[{"name":"x","at":"2026-01-02T03:04:05.5+01:00"},{"name":"y"}]},{"value":[]}]}`)
	})
	op := service(t, url, entry("settings", stream.MapOf(entry("near", stream.DoubleOf(0.5)))),
		entry("headers", stream.MapOf(entry("X-Tenant", stream.StringOf("env:FRESHET_TEST_TENANT")))))
	out, err := op.Apply(t.Context(), texts("a", "b"))
	if err != nil {
		t.Fatal(err)
	}
	want := stream.ListOf(
		stream.MapOf(entry("name", stream.StringOf("x")), entry("at", stream.TimestampOf(time.Date(2026, 1, 2, 2, 4, 5, 5e8, time.UTC)))),
		stream.MapOf(entry("name", stream.StringOf("y")), entry("at", stream.Value{})))
	if !out[0].Equal(want) || out[1].Len() != 0 {
		t.Errorf("%v", out)
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status  int
		after   string
		kind    stream.ErrorKind
		wait    time.Duration
		suspect bool
	}{
		{400, "", stream.Invalid, 0, false}, {413, "", stream.Invalid, 0, false}, {422, "", stream.Invalid, 0, false},
		{401, "", stream.Unauthorised, 0, false}, {403, "", stream.Unauthorised, 0, false}, {404, "", stream.Usage, 0, false},
		{307, "", stream.Usage, 0, false}, {429, "3", stream.Throttled, 3 * time.Second, false},
		{500, "", stream.Transient, 0, true}, {503, "", stream.Transient, 0, false},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.after)
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
			w.WriteHeader(c.status)
			fmt.Fprint(w, "the key "+token)
		})
		_, err := service(t, url).Apply(t.Context(), texts("a"))
		var e *stream.Error
		if !errors.As(err, &e) || e.Kind != c.kind || e.RetryAfter != c.wait || e.Suspect != c.suspect {
			t.Errorf("%d: %+v", c.status, err)
		}
		if text := fmt.Sprint(err); strings.Contains(text, token) || strings.Contains(text, "hidden-tenant") || !strings.Contains(text, "«hidden»") {
			t.Errorf("%d: %s", c.status, text)
		}
	}
}

// Elements fail by themselves, also those that JSON can't hold.
func TestElementsFail(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"results":[{"value":[]},{"error":{"kind":"invalid","message":"blurred, `+token+`"}},{"value":"x"},{"value":[{"name":"n","more":1}]}]}`)
	})
	out, err := service(t, url).Apply(t.Context(), append([]stream.Value{stream.StringOf("\xff")}, texts("a", "b", "c", "d")...))
	var some *stream.BatchError
	if !errors.As(err, &some) || len(some.Failed) != 4 || out[1].Kind() != stream.List {
		t.Fatal(out, err)
	}
	for i, words := range map[int]string{0: "UTF-8", 2: "blurred, «hidden»", 3: "it is a string", 4: `it[0] has a field "more"`} {
		if err := some.Failed[i]; stream.KindOf(err) != stream.Invalid || !strings.Contains(fmt.Sprint(err), words) {
			t.Errorf("input %d: %v, want %q", i, err, words)
		}
	}
}

func TestWrongAnswers(t *testing.T) {
	for _, body := range []string{`<html>`, `{"results":[]}`, `{"results":[{}]}`, `{"results":[{"error":{"kind":"odd"}}]}`,
		`{"version":"blip-1","results":[{"value":[]}]}`} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		if _, err := service(t, url).Apply(t.Context(), texts("a")); err == nil || stream.KindOf(err) != stream.Usage {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestDeadline(t *testing.T) {
	done := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-done:
		}
	})
	defer close(done)
	_, err := service(t, url, entry("deadline", stream.IntOf(int64(50*time.Millisecond)))).Apply(t.Context(), texts("a"))
	var e *stream.Error
	if !errors.As(err, &e) || e.Kind != stream.Transient || !e.Suspect || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v", err)
	}
	_, err = service(t, "http://127.0.0.1:1").Apply(t.Context(), texts("a"))
	if !errors.As(err, &e) || e.Kind != stream.Transient || e.Suspect {
		t.Errorf("nobody there: %+v", err)
	}
}

// TestCertificate: only the authority in `ca` is believed.
func TestCertificate(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct{ Items []string }
		_ = json.NewDecoder(r.Body).Decode(&request)
		fmt.Fprint(w, `{"results":[{"value":[]}]}`)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := service(t, server.URL).Apply(t.Context(), texts("a")); err == nil || stream.KindOf(err) != stream.Transient {
		t.Errorf("a certificate of nobody known: %v", err)
	}
	if _, err := service(t, server.URL, entry("ca", stream.StringOf(file))).Apply(t.Context(), texts("a")); err != nil {
		t.Error(err)
	}
}
