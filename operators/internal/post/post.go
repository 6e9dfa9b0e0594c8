// Package post sends requests to HTTP services that compute something, and gives what goes wrong its class.
//
// It upholds: one attempt per call; an answer is read up to a bound; no redirect is followed, since it would carry texts,
// and perhaps a secret, to a host that nobody configured; a secret is read for each request, so that a new one is seen, and
// is never part of an error.
package post

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// Service is where requests go. The names of its settings are what errors advise to check.
type Service struct {
	Client  *http.Client
	URL     stream.Secret
	Path    string                   // added to the URL; "": nothing is
	Token   stream.Secret            // sent as bearer token; zero: none is
	Headers map[string]stream.Secret // sent as well
	For     string                   // what it is asked for, e.g. "embeddings"
	// URLSetting and TokenSetting are the settings that URL and Token are from.
	URLSetting, TokenSetting string
	Missing                  string // what else 404 may mean
	// Suspecting says that one of the inputs may be the cause of an answer 500, and of none in time.
	Suspecting bool
}

// OpenAI is a service that speaks one of OpenAI's protocols, by the settings base_url and api_key. what is what it is asked for.
func OpenAI(s stream.Settings, path, what string) Service {
	return Service{Client: NewClient(nil), URL: s.Secret("base_url"), Path: path, Token: s.Secret("api_key"),
		For: what, URLSetting: "base_url", TokenSetting: "api_key", Missing: ", and that the server has the model"}
}

// NewClient returns a client whose connections are kept; config may be nil.
func NewClient(config *tls.Config) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	if config != nil {
		transport.TLSClientConfig = config
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// JSON posts a body and returns that of the answer 200, of at most limit bytes, and the secrets that the request carried,
// for whoever quotes the answer.
func (s *Service) JSON(ctx context.Context, body []byte, limit int64) (answer []byte, secrets []string, err error) {
	req, secrets, err := s.request(ctx, body)
	if err != nil {
		return nil, nil, err
	}
	op := "ask " + req.URL.Host + " for " + s.For
	resp, err := s.Client.Do(req)
	if err != nil {
		return nil, nil, s.outage(op, stream.WithoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, s.refusal(op, resp, secrets)
	}
	answer, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, nil, s.outage(op, fmt.Errorf("read the answer: %w", err))
	}
	if int64(len(answer)) > limit {
		return nil, nil, stream.Errorf(stream.Usage, op, "the answer is larger than %d bytes; check %s", limit, s.URLSetting)
	}
	return answer, secrets, nil
}

func (s *Service) outage(op string, err error) error {
	return &stream.Error{Op: op, Kind: stream.Transient, Err: err, Suspect: s.Suspecting && errors.Is(err, context.DeadlineExceeded)}
}

// request also returns the secrets that it carries.
func (s *Service) request(ctx context.Context, body []byte) (*http.Request, []string, error) {
	address, err := s.address()
	if err != nil {
		return nil, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, stream.Errorf(stream.Usage, "write a request for "+s.For, "%w", stream.WithoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	var secrets []string
	for name, ref := range s.Headers {
		text, err := ref.Resolve()
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set(name, text)
		secrets = append(secrets, text)
	}
	token, err := s.Token.Resolve()
	if err != nil {
		return nil, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
		secrets = append(secrets, token)
	}
	return req, secrets, nil
}

func (s *Service) address() (*url.URL, error) {
	text, err := s.URL.Resolve()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimSpace(text))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, stream.Errorf(stream.Usage, "write a request for "+s.For, "%s %s is no http or https address", s.URLSetting, s.URL)
	}
	if s.Path == "" {
		return base, nil
	}
	return base.JoinPath(s.Path), nil
}
