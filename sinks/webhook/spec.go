package webhook

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const (
	configuring    = "configure target webhook"
	defaultTimeout = 30 * time.Second
)

// Spec declares the target "webhook".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "webhook",
		Doc: "A receiver of yours, by HTTP: versioned batches of rows in JSON, each one POST with an idempotency key. The receiver keeps its place with " +
			"the rows; what this page says of the target holds with a receiver that does its duties.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true, Doc: "http:// or https:// URL of the receiver, or a reference to one."},
			{Name: "secret", Kind: stream.SettingSecret, Doc: "Key of the signature (HMAC-SHA256) that each request carries, read again at each request."},
			{Name: "token", Kind: stream.SettingSecret, Doc: "Bearer token that each request carries, read again at each request."},
			{Name: "timeout", Kind: stream.SettingDuration, Default: stream.IntOf(int64(defaultTimeout)),
				Doc: "How long an answer is waited for, and each further part of it, before a request is sent again."},
			trust.Setting(),
		},
		TableSettings: []stream.Setting{{Name: "table", Kind: stream.SettingString, Doc: "Name that the receiver knows the table by; its own name when absent."}},
		Guarantees:    stream.Guarantees{Transactional: true, AtomicDocuments: true, Vectors: true, Deletes: true},
		New:           New,
	}
}

// Sink keeps tables in step with one receiver.
type Sink struct {
	url, secret, token stream.Secret
	timeout            time.Duration
	ca                 string // path; "" for the system's certificates
	tables             []*table
	flow, target       string // set by Open
	writer             string // tells this sink from others

	mu     sync.Mutex
	client *http.Client
	held   map[int32]*tenure

	proposed int64 // the last epoch

	known atomic.Bool // it answered once, so credentials that it refuses are being rotated
}

var (
	_ stream.Sink      = (*Sink)(nil)
	_ stream.Reader    = (*Sink)(nil)
	_ stream.Inspector = (*Sink)(nil)
	_ stream.Rounder   = (*Sink)(nil)
)

// New checks the settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &Sink{url: c.Settings.Secret("url"), secret: c.Settings.Secret("secret"), token: c.Settings.Secret("token"), ca: c.Settings.Path("ca"),
		timeout: time.Duration(c.Settings.Int("timeout")), held: map[int32]*tenure{}, writer: rand.Text()}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.url.IsZero() {
		return nil, stream.Errorf(stream.Usage, configuring, "setting url is missing")
	}
	if !s.url.IsReference() {
		if _, err := s.where(); err != nil {
			return nil, err
		}
	}
	var err error
	s.tables, err = newTables(c.Tables)
	return s, err
}

// where is the receiver's URL, read anew.
func (s *Sink) where() (*url.URL, error) {
	text, err := s.url.Resolve()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		// nothing of it is quoted: a reference's URL may hold a key
		return nil, stream.Errorf(stream.Usage, configuring, "setting url (%s) does not lead to a URL of the form https://host/path without user and password", s.url)
	}
	return u, nil
}

// op says what is being done, for errors.
func (s *Sink) op(doing string) string { return doing + " target " + s.target }

// Close ends idle connections. The sink can be opened again.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.CloseIdleConnections()
		s.client = nil
	}
	return nil
}
