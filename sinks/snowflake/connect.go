package snowflake

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/snowflakedb/gosnowflake"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const (
	maxConns     = 8
	loginTimeout = 20 * time.Second
	// answerLimit bounds one request. A statement that takes longer than 45 s is answered before it is done, and asked about again.
	answerLimit = 2 * time.Minute
	// noRetries lets no request be repeated by the driver: the caller repeats whole transactions, and knows which came about.
	noRetries = -1
)

// sessionParameters bound what a stuck session can hold up, and fix what the user's own defaults could change.
var sessionParameters = map[string]string{
	"LOCK_TIMEOUT":                   "60",
	"STATEMENT_TIMEOUT_IN_SECONDS":   "7200",
	"TRANSACTION_ABORT_ON_ERROR":     "true",
	"ABORT_DETACHED_QUERY":           "true",
	"QUOTED_IDENTIFIERS_IGNORE_CASE": "false",
	"AUTOCOMMIT":                     "true",
	"JSON_INDENT":                    "0",
	"TIMEZONE":                       "UTC",
}

// connect makes sure of a database, and that it can be reached.
func (s *Sink) connect(ctx context.Context) error {
	if s.db != nil {
		return nil
	}
	tls, err := trust.Config(configuring, s.ca)
	if err != nil {
		return err
	}
	// The driver would ask the metadata services of three clouds where it runs, to tell Snowflake.
	if err := os.Setenv("SNOWFLAKE_DISABLE_PLATFORM_DETECTION", "true"); err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tls
	db := sql.OpenDB(connector{s, answers{transport}})
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(maxConns)
	db.SetConnMaxIdleTime(10 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		transport.CloseIdleConnections()
		return err
	}
	s.db, s.disconnect = db, transport.CloseIdleConnections
	s.wasOpen.Store(true)
	return nil
}

// connector reads the secrets at each connection, so that a rotated one is seen by the next.
type connector struct {
	s         *Sink
	transport http.RoundTripper
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	config, err := c.s.config(c.transport)
	if err != nil {
		return nil, err
	}
	conn, err := gosnowflake.NewConnector(gosnowflake.SnowflakeDriver{}, config).Connect(ctx)
	if err != nil {
		return nil, &signInError{err, c.s.wasOpen.Load()}
	}
	return conn, nil
}

// Driver implements driver.Connector.
func (connector) Driver() driver.Driver { return gosnowflake.SnowflakeDriver{} }

// config is what the driver is told now.
func (s *Sink) config(transport http.RoundTripper) (gosnowflake.Config, error) {
	c := gosnowflake.Config{Account: s.account, User: s.user, Warehouse: s.warehouse, Role: s.role, Application: "Freshet",
		LoginTimeout: loginTimeout, ClientTimeout: answerLimit, JWTClientTimeout: loginTimeout, MaxRetryCount: noRetries, Transporter: transport,
		DisableTelemetry: true, Tracing: "fatal", Params: map[string]*string{}}
	for name, value := range sessionParameters {
		c.Params[name] = &value
	}
	if err := s.locate(&c); err != nil {
		return c, err
	}
	if s.privateKey.IsZero() {
		password, err := s.password.Resolve()
		c.Password = password
		return c, err
	}
	key, err := s.key()
	c.PrivateKey, c.Authenticator = key, gosnowflake.AuthTypeJwt
	return c, err
}

// locate fills in the end point of the setting url, which is not quoted when it does not fit: it may hold a password.
func (s *Sink) locate(c *gosnowflake.Config) error {
	if s.url.IsZero() {
		return nil
	}
	text, err := s.url.Resolve()
	if err != nil {
		return err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return stream.Errorf(stream.Usage, configuring, "setting url (%s) does not lead to a URL of the form https://host:443", s.url)
	}
	c.Protocol, c.Host, c.Port = u.Scheme, u.Hostname(), 443
	if u.Port() != "" {
		c.Port, err = strconv.Atoi(u.Port())
	}
	return err
}

func (s *Sink) key() (*rsa.PrivateKey, error) {
	text, err := s.privateKey.Resolve()
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := parsed.(*rsa.PrivateKey); ok && err == nil {
			return key, nil
		}
	}
	return nil, stream.Errorf(stream.Usage, configuring,
		"setting private_key (%s) does not lead to an RSA key in PKCS #8 and PEM form; `openssl pkcs8 -topk8 -nocrypt` makes one", s.privateKey)
}

// answers passes answers on, but for those that say that a server could not answer: they are errors of their own type.
type answers struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := a.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if code := response.StatusCode; code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout {
		_ = response.Body.Close()
		return nil, &statusError{code}
	}
	return response, nil
}

// statusError is an HTTP status by which a server says that it may answer later.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("HTTP status %d", e.code) }
