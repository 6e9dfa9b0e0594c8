package neo4j

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j/config"
	"github.com/neo4j/neo4j-go-driver/v5/neo4j/db"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

const maxConns = 16

// connect makes sure of a driver, and of a server behind it that fits.
func (s *Sink) connect(ctx context.Context) error {
	if s.driver != nil {
		return nil
	}
	u, err := s.where()
	if err != nil {
		return err
	}
	tls, err := trust.Config(configuring, s.ca)
	if err != nil {
		return err
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host}
	d, err := neo4j.NewDriverWithContext(bare.String(), tokens{s}, func(c *config.Config) {
		c.MaxConnectionPoolSize, c.SocketConnectTimeout, c.ConnectionAcquisitionTimeout = maxConns, 5*time.Second, 15*time.Second
		c.ConnectionLivenessCheckTimeout = 10 * time.Second
		if strings.HasSuffix(u.Scheme, "+s") {
			c.TlsConfig = tls
		}
	})
	if err != nil {
		return err
	}
	s.driver, s.closeDriver = d, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return d.Close(ctx)
	}
	if err := s.check(ctx); err != nil {
		_ = s.Close()
		return err
	}
	s.opened.Store(true)
	return nil
}

// where reads the URL now, and quotes nothing of one that does not fit: it may hold a password.
func (s *Sink) where() (*url.URL, error) {
	text, err := s.url.Resolve()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"bolt", "bolt+s", "neo4j", "neo4j+s"}, u.Scheme) || u.Hostname() == "" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, stream.Errorf(stream.Usage, configuring,
			"setting url (%s) does not lead to a URL of the form bolt://host:7687 or neo4j://host:7687, or the same with +s for TLS", s.url)
	}
	return u, nil
}

// tokens gives the credentials as they are now to each connection.
type tokens struct{ s *Sink }

// GetAuthToken implements the driver's TokenManager.
func (t tokens) GetAuthToken(context.Context) (neo4j.AuthToken, error) {
	u, err := t.s.where()
	if err != nil {
		return neo4j.AuthToken{}, err
	}
	username := u.User.Username()
	password, _ := u.User.Password()
	if !t.s.username.IsZero() {
		if username, err = t.s.username.Resolve(); err != nil {
			return neo4j.AuthToken{}, err
		}
	}
	if !t.s.password.IsZero() {
		if password, err = t.s.password.Resolve(); err != nil {
			return neo4j.AuthToken{}, err
		}
	}
	if username == "" && password == "" {
		return neo4j.NoAuth(), nil
	}
	return neo4j.BasicAuth(username, password, ""), nil
}

// HandleSecurityException implements the driver's TokenManager: nothing is remembered that could be out of date.
func (t tokens) HandleSecurityException(context.Context, neo4j.AuthToken, *db.Neo4jError) (bool, error) {
	return false, nil
}

// Vector indexes by CREATE VECTOR INDEX came with this version.
const oldestMajor, oldestMinor = 5, 13

// check refuses a server that is too old.
func (s *Sink) check(ctx context.Context) error {
	rows, err := s.query(ctx, "CALL dbms.components() YIELD name, versions WHERE name = 'Neo4j Kernel' RETURN versions[0]", nil)
	if err != nil {
		return err
	}
	version := ""
	if len(rows) > 0 {
		version, _ = rows[0][0].(string)
	}
	var major, minor int
	_, err = fmt.Sscanf(version, "%d.%d", &major, &minor)
	if err == nil && (major > oldestMajor || major == oldestMajor && minor >= oldestMinor) {
		return nil
	}
	return stream.Errorf(stream.Usage, s.op("open"), "the server's version is %.40q; Freshet needs Neo4j %d.%d or later", version, oldestMajor, oldestMinor)
}
