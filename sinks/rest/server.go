// Package rest is what targets share that are one server with an HTTP interface: where it is, how it is reached, and what it means
// when it is not.
//
// It upholds: no redirect is followed, since it would carry credentials to a server that nobody named; an answer is read up
// to a bound; the URL, which a reference may keep from sight, is no part of an error.
package rest

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// maxAnswer is in bytes: a page of rows of the largest size.
const maxAnswer = 1 << 30

// Server is where a target lives. Its methods may be called concurrently; Connect goes before Base and Do.
type Server struct {
	Target string        // kind of target, for errors
	URL    stream.Secret // https://host:port, perhaps with a path
	Form   string        // what the URL has to be, for an error
	CA     string        // path of a PEM file; "": the system's certificates
	Idle   time.Duration // for which an unused connection is kept; 0: 90 s

	mu     sync.Mutex
	client *http.Client
	base   *url.URL
}

// Connect reads the URL and the certificates; repeatable. It sends nothing. Faults of the settings have kind Usage.
func (s *Server) Connect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return nil
	}
	text, err := s.URL.Resolve()
	if err != nil {
		return err
	}
	configuring := "configure target " + s.Target
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// not wrapped: the cause quotes the URL
		return stream.Errorf(stream.Usage, configuring, "setting url (%s) does not lead to a URL of the form %s", s.URL, s.Form)
	}
	idle := s.Idle
	if idle == 0 {
		idle = 90 * time.Second
	}
	transport := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		ExpectContinueTimeout: 10 * time.Second, IdleConnTimeout: idle, MaxIdleConnsPerHost: 16, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}
	if u.Scheme == "https" {
		if transport.TLSClientConfig, err = trust.Config(configuring, s.CA); err != nil {
			return err
		}
	}
	u.Path = strings.TrimRight(u.Path, "/")
	s.base = u
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return nil
}

// Close ends the connections. The server can be connected to again.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.CloseIdleConnections()
		s.client = nil
	}
	return nil
}

// Base is the URL, without a slash at its end. The caller may change it.
func (s *Server) Base() url.URL { return *s.base }

// Repeatable marks a request that does nothing more when it is done twice: it may be sent again when the connection that was
// kept for it turns out to be closed. Nothing of the mark is sent.
func Repeatable(asked *http.Request) { asked.Header["Idempotency-Key"] = nil }

// Do sends a request and reads the answer, whatever its status. Errors are as Outage says.
func (s *Server) Do(doing string, asked *http.Request) (status int, text []byte, err error) {
	answer, err := s.client.Do(asked)
	if err != nil {
		return 0, nil, s.Outage(doing, err)
	}
	defer answer.Body.Close()
	if text, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer)); err != nil {
		return 0, nil, s.Outage(doing, err)
	}
	return answer.StatusCode, text, nil
}

// Outage gives a failure to reach the server its class, Transient unless it has one.
func (s *Server) Outage(doing string, err error) error {
	var known *stream.Error
	if errors.As(err, &known) {
		return err
	}
	return &stream.Error{Op: s.Target + ": " + doing, Kind: stream.Transient, Err: stream.WithoutURL(err)}
}
