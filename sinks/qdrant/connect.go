package qdrant

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/qdrant/go-client/qdrant"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// requestLimit bounds every request, so that a stale one does not outlive guard's tombstones.
const requestLimit = time.Minute

// maxAnswer is in bytes: a page of rows of the largest size.
const maxAnswer = 1 << 30

const defaultPort = 6334

// store is guard.Store over a server.
type store struct {
	url, key stream.Secret
	ca       string // path; "" for the system's certificates
	prefix   string
	tables   map[string]*table // by name in the target

	mu     sync.Mutex
	client *qdrant.Client
}

// Open connects, checks the server's version and makes sure of the bookkeeping. See guard.Store.
func (s *store) Open(ctx context.Context) error {
	if err := s.connect(); err != nil {
		return err
	}
	reply, err := s.client.HealthCheck(ctx)
	if err != nil {
		return classed("ask for the version", err)
	}
	if err := checkVersion(reply.GetVersion()); err != nil {
		return err
	}
	return s.createBookkeeping(ctx)
}

func (s *store) connect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return nil
	}
	c, err := s.config()
	if err != nil {
		return err
	}
	s.client, err = qdrant.NewClient(c)
	if err != nil {
		return stream.Errorf(stream.Usage, configuring, "connect to the url of the setting: %w", err)
	}
	return nil
}

// Close ends the connections. The store can be opened again.
func (s *store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil
	}
	err := s.client.Close()
	s.client = nil
	return err
}

func (s *store) config() (*qdrant.Config, error) {
	text, err := s.url.Resolve()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		// not wrapped: the cause quotes the URL
		return nil, stream.Errorf(stream.Usage, configuring, "setting url (%s) does not lead to a URL of the form http://host:6334 or https://host:6334", s.url)
	}
	c := &qdrant.Config{Host: u.Hostname(), Port: defaultPort, SkipCompatibilityCheck: true, PoolSize: 2,
		KeepAliveTime: 30, KeepAliveTimeout: 20, GrpcOptions: s.options()} // in seconds: a busy server may take its time
	if strings.Contains(c.Host, ":") {
		c.Host = "[" + c.Host + "]"
	}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		c.Port = port
	}
	if u.Scheme == "https" {
		c.UseTLS = true
		c.TLSConfig, err = trust.Config(configuring, s.ca)
	}
	return c, err
}

func (s *store) options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(limit),
		grpc.WithPerRPCCredentials(apiKey{s.key}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 5 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}}),
	}
}

// limit gives every request a deadline.
func limit(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	return invoke(ctx, method, req, reply, cc, opts...)
}

// apiKey sends the key as it is now.
type apiKey struct{ key stream.Secret }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (a apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	if a.key.IsZero() {
		return nil, nil
	}
	key, err := a.key.Resolve()
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return map[string]string{"api-key": key}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: whoever writes http:// has chosen.
func (a apiKey) RequireTransportSecurity() bool { return false }

// Conditional upserts came with this version; an older server would ignore the condition.
const oldestMajor, oldestMinor = 1, 16

func checkVersion(version string) error {
	var major, minor int
	_, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor)
	if err == nil && (major > oldestMajor || major == oldestMajor && minor >= oldestMinor) {
		return nil
	}
	return stream.Errorf(stream.Usage, "open target qdrant", "the server's version is %.40q; Freshet needs Qdrant %d.%d or later, which first has conditional upserts",
		version, oldestMajor, oldestMinor)
}
