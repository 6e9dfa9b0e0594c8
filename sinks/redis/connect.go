package redis

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// requestLimit bounds every request.
const requestLimit = time.Minute

const defaultPort = "6379"

// store is guard.Store over one server.
type store struct {
	url, username, password stream.Secret
	ca                      string // path; "" for the system's certificates
	prefix                  string
	tables                  map[string]*table // by name in the target

	opened atomic.Bool // it was open once, so a password that is refused was rotated

	mu     sync.Mutex
	client rueidis.Client
	walks  map[walked]uint64 // where Scan goes on
}

// Open connects and checks that the server fits. See guard.Store.
func (s *store) Open(ctx context.Context) error {
	if err := s.connect(); err != nil {
		return err
	}
	if err := s.check(ctx); err != nil {
		return err
	}
	s.opened.Store(true)
	return nil
}

func (s *store) connect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return nil
	}
	where, err := s.where()
	if err != nil {
		return err
	}
	o := rueidis.ClientOption{InitAddress: []string{where.address}, SelectDB: where.database, ForceSingleClient: true, ClientName: "freshet",
		AuthCredentialsFn: s.credentials, Dialer: net.Dialer{Timeout: 5 * time.Second}, ConnWriteTimeout: 30 * time.Second,
		PipelineMultiplex: -1, AlwaysPipelining: true, // one connection, whose end is seen at once
		DisableCache: true, DisableRetry: true} // whoever asks decides what is asked again
	if where.tls {
		if o.TLSConfig, err = trust.Config(configuring, s.ca); err != nil {
			return err
		}
		o.TLSConfig.ServerName = where.host
	}
	c, err := rueidis.NewClient(o)
	if err != nil {
		if c != nil {
			c.Close()
		}
		return s.classed("connect", err)
	}
	s.client = c
	return nil
}

// Close ends the connections. The store can be opened again.
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
	return nil
}

// location is what the setting url says.
type location struct {
	host, address string
	database      int
	tls           bool
	user          *url.Userinfo
}

func (s *store) where() (l location, err error) {
	text, err := s.url.Resolve()
	if err != nil {
		return l, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return l, s.unfit()
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	l = location{host: u.Hostname(), address: net.JoinHostPort(u.Hostname(), port), tls: u.Scheme == "rediss", user: u.User}
	if path := strings.Trim(u.Path, "/"); path != "" {
		if l.database, err = strconv.Atoi(path); err != nil || l.database < 0 {
			return l, s.unfit()
		}
	}
	return l, nil
}

// unfit quotes nothing of the URL, which may hold a password.
func (s *store) unfit() error {
	return stream.Errorf(stream.Usage, configuring, "setting url (%s) does not lead to a URL of the form redis://host:6379/0 or rediss://host:6379/0", s.url)
}

// credentials are read at each connection, so that rotated ones heal by themselves.
func (s *store) credentials(rueidis.AuthCredentialsContext) (c rueidis.AuthCredentials, err error) {
	where, err := s.where()
	if err != nil {
		return c, err
	}
	if where.user != nil {
		c.Username = where.user.Username()
		c.Password, _ = where.user.Password()
	}
	if !s.username.IsZero() {
		if c.Username, err = s.username.Resolve(); err != nil {
			return c, err
		}
	}
	if !s.password.IsZero() {
		c.Password, err = s.password.Resolve()
	}
	return c, err
}

// do asks the server within the limit.
func (s *store) do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	return s.client.Do(ctx, cmd)
}

// check refuses a server on which rows would not stay, or on which scripts are not atomic over all keys.
func (s *store) check(ctx context.Context) error {
	text, err := s.do(ctx, s.client.B().Info().Build()).ToString()
	if err != nil {
		return s.classed("ask for the version", err)
	}
	info := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			info[name] = value
		}
	}
	return fits(info)
}

// oldest is the first version of Redis that refuses a script before it begins when memory is out.
const oldest = 7

func fits(info map[string]string) error {
	const opening = "open target redis"
	var major int
	_, err := fmt.Sscanf(info["redis_version"], "%d.", &major)
	policy := info["maxmemory_policy"]
	switch {
	case err != nil || major < oldest:
		return stream.Errorf(stream.Usage, opening, "the server's version is %.40q; Freshet needs Redis %d or later, or Valkey", info["redis_version"], oldest)
	case info["cluster_enabled"] == "1":
		return stream.Errorf(stream.Usage, opening, "the server is part of a cluster, where rows and their bookkeeping would lie on several servers; "+
			"Freshet needs one server, which may have replicas")
	case strings.HasPrefix(policy, "allkeys-"):
		return stream.Errorf(stream.Usage, opening, "the server's maxmemory-policy is %s, so it would drop rows without a trace when memory is out; "+
			"set it to noeviction or to one of the volatile policies, which spare keys without expiry", policy)
	}
	return nil
}
