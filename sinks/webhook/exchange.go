package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// answer is what a receiver says.
type answer struct {
	Error    string        `json:"error"`
	Place    *place        `json:"place"`
	Protocol int           `json:"protocol"`
	Tables   []tableRecord `json:"tables"`
	Places   []place       `json:"places"`
}

// maxAnswer is in bytes, of an answer other than rows.
const maxAnswer = 64 << 20

// sent is a POST that was answered.
type sent struct {
	answer
	key      string // idempotency key
	conflict bool   // 409: the receiver stands elsewhere
}

// post sends a request once. Its key is known also when it fails.
func (s *Sink) post(ctx context.Context, doing string, r *request) (sent, error) {
	r.Flow, r.Target = s.flow, s.target
	body, err := json.Marshal(r)
	if err != nil {
		return sent{}, &stream.Error{Op: s.op(doing), Err: err}
	}
	sum := sha256.Sum256(body)
	out := sent{key: hex.EncodeToString(sum[:])}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, secrets, err := s.exchange(ctx, http.MethodPost, "", body, out.key)
	if err != nil {
		return out, s.said(doing, r.about(), err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusConflict && resp.StatusCode/100 != 2 {
		return out, s.said(doing, r.about(), s.refusal(resp, secrets))
	}
	out.conflict = resp.StatusCode == http.StatusConflict
	if err := read(resp, &out.answer); err != nil {
		return out, s.said(doing, r.about(), err)
	}
	if out.Place == nil && r.Partition != nil {
		err = stream.Errorf(stream.Usage, "", "the receiver answers %d without its place", resp.StatusCode)
		return out, s.said(doing, r.about(), err)
	}
	return out, nil
}

// state asks what the receiver holds.
func (s *Sink) state(ctx context.Context, doing string) (answer, error) {
	var a answer
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	resp, secrets, err := s.exchange(ctx, http.MethodGet, url.Values{"flow": {s.flow}, "target": {s.target}}.Encode(), nil, "")
	if err != nil {
		return a, s.said(doing, "its places", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return a, s.said(doing, "its places", s.refusal(resp, secrets))
	}
	if err = read(resp, &a); err == nil && a.Protocol != protocol {
		err = stream.Errorf(stream.Usage, "", "the receiver does not say \"protocol\": %d", protocol)
	}
	if err == nil {
		s.known.Store(true)
	}
	return a, s.said(doing, "its places", err)
}

// exchange sends one request. It returns the credentials that it carried, for whoever quotes the answer.
func (s *Sink) exchange(ctx context.Context, method, query string, body []byte, key string) (*http.Response, []string, error) {
	u, err := s.where()
	if err != nil {
		return nil, nil, err
	}
	client, err := s.connected()
	if err != nil {
		return nil, nil, err
	}
	if u.RawQuery != "" && query != "" {
		query = u.RawQuery + "&" + query
	}
	if query != "" {
		u.RawQuery = query
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if key != "" {
		req.GetBody = nil // else net/http itself sends it again, and nobody would know that the first one may have been taken
		req.Header.Set("Idempotency-Key", key)
		req.Header.Set("Content-Type", "application/json")
	}
	secrets, err := s.sign(req, body)
	if err != nil {
		return nil, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, outage(err)
	}
	return resp, secrets, nil
}

// connected returns the client, made at the first use.
func (s *Sink) connected() (*http.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return s.client, nil
	}
	config, err := trust.Config(configuring, s.ca)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig, transport.MaxIdleConnsPerHost, transport.ResponseHeaderTimeout = config, 64, s.timeout
	// A redirected POST would carry the credentials elsewhere.
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return s.client, nil
}

// Header of the signature: "sha256=" and the HMAC-SHA256, in hex, of the body, or of the query where there is no body.
const signatureHeader = "Freshet-Signature"

// sign adds the credentials, as they are now.
func (s *Sink) sign(req *http.Request, body []byte) (secrets []string, err error) {
	if !s.token.IsZero() {
		token, err := s.token.Resolve()
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		secrets = append(secrets, token)
	}
	if !s.secret.IsZero() {
		secret, err := s.secret.Resolve()
		if err != nil {
			return nil, err
		}
		if req.Method == http.MethodGet {
			body = []byte(req.URL.RawQuery)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		req.Header.Set(signatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
		secrets = append(secrets, secret)
	}
	return secrets, nil
}

// outage is a request that was not answered. The URL, which may hold a key, is left out.
func outage(err error) error {
	return &stream.Error{Kind: stream.Transient, Err: fmt.Errorf("the receiver does not answer: %w", stream.WithoutURL(err))}
}

// refusal gives an answer that is neither a success nor a conflict its class.
func (s *Sink) refusal(resp *http.Response, secrets []string) error {
	kind, advice := stream.Usage, "; mend the receiver, or what it refuses, and start again"
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		kind, advice = stream.Transient, ""
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		advice = "; check the settings token and secret and what they refer to"
		if s.known.Load() {
			kind = stream.Transient // a rotated one is on its way
		}
	case code == http.StatusRequestEntityTooLarge:
		advice = "; let the receiver, and what stands before it, take larger bodies"
	case code/100 == 3:
		advice = "; set url to where it redirects to"
	}
	said := stream.Explanation(resp.Body, secrets...)
	return &stream.Error{Kind: kind, RetryAfter: stream.ParseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Err: fmt.Errorf("the receiver answers %d%s%s", resp.StatusCode, said, advice)}
}

// read decodes an answer. One that was cut off is an outage, one of another form is no receiver's.
func read(resp *http.Response, into *answer) error {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return outage(err)
	}
	if json.Unmarshal(raw, into) != nil {
		return stream.Errorf(stream.Usage, "", "the receiver answers %d, but not with the JSON that docs/targets/webhook.md asks for", resp.StatusCode)
	}
	return nil
}

// said gives a failure its context, and keeps its class.
func (s *Sink) said(doing, about string, err error) error {
	if err == nil {
		return nil
	}
	out := &stream.Error{Op: s.op(doing), Kind: stream.KindOf(err), Err: fmt.Errorf("%s: %w", about, err)}
	var e *stream.Error
	if errors.As(err, &e) {
		out.RetryAfter = e.RetryAfter
		if e.Op == "" {
			out.Err = fmt.Errorf("%s: %w", about, e.Err)
		}
	}
	return out
}
