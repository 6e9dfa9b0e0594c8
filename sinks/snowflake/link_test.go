package snowflake_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// link is a way to the server that can be cut at a COMMIT, and can hold requests back.
type link struct {
	url, server string
	mode        atomic.Int32
	begun       atomic.Int32 // transactions
	late        func() error // passes the request on that was held back
	gate        chan struct{}
}

const (
	whole int32 = iota
	cutBefore
	cutAfter
	cutAfterAndStay
	away
	holdMerge        // cuts the connection of a MERGE, which late sends
	cutAfterView     // cuts the connection after the statement that makes a view
	pauseAfterCommit // is paused after the next COMMIT
	paused           // no transaction begins before the gate is open
)

func newLink(t testing.TB, server string) *link {
	t.Helper()
	l := &link{server: server, gate: make(chan struct{})}
	front := httptest.NewServer(l)
	t.Cleanup(front.Close)
	l.url = front.URL
	return l
}

// ServeHTTP passes a request on, and its answer back, as the mode lets it.
func (l *link) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || l.mode.Load() == away {
		panic(http.ErrAbortHandler)
	}
	text := statement(r, body)
	if text == "BEGIN" {
		l.begun.Add(1)
		if l.mode.Load() == paused {
			<-l.gate
		}
	}
	if strings.HasPrefix(text, "MERGE") && l.mode.CompareAndSwap(holdMerge, whole) {
		l.late = func() error { return l.pass(context.Background(), httptest.NewRecorder(), r, body) }
		panic(http.ErrAbortHandler)
	}
	commits := text == "COMMIT"
	if commits && l.mode.CompareAndSwap(cutBefore, whole) {
		panic(http.ErrAbortHandler)
	}
	answer := httptest.NewRecorder()
	if l.pass(r.Context(), answer, r, body) != nil {
		panic(http.ErrAbortHandler)
	}
	if commits && (l.mode.CompareAndSwap(cutAfter, whole) || l.mode.CompareAndSwap(cutAfterAndStay, away)) {
		panic(http.ErrAbortHandler)
	}
	if strings.HasPrefix(text, "CREATE OR REPLACE VIEW") && l.mode.CompareAndSwap(cutAfterView, whole) {
		panic(http.ErrAbortHandler)
	}
	if commits {
		l.mode.CompareAndSwap(pauseAfterCommit, paused)
	}
	for name := range answer.Header() {
		w.Header().Set(name, answer.Header().Get(name))
	}
	w.WriteHeader(answer.Code)
	_, _ = answer.Body.WriteTo(w)
}

// pass asks the server.
func (l *link) pass(ctx context.Context, w http.ResponseWriter, r *http.Request, body []byte) error {
	on, err := http.NewRequestWithContext(ctx, r.Method, l.server+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	on.Header = r.Header.Clone()
	answer, err := http.DefaultTransport.RoundTrip(on)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for name := range answer.Header {
		w.Header().Set(name, answer.Header.Get(name))
	}
	w.WriteHeader(answer.StatusCode)
	_, err = io.Copy(w, answer.Body)
	return err
}

// statement is the SQL that a request asks for.
func statement(r *http.Request, body []byte) string {
	var text io.Reader = bytes.NewReader(body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		text, _ = gzip.NewReader(text)
	}
	var asked struct{ SQLText string }
	_ = json.NewDecoder(text).Decode(&asked) // what is no statement has none
	return asked.SQLText
}
