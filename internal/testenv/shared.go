package testenv

import (
	"context"
	"sync"
	"testing"
)

// Main runs a package's tests and then ends the components they shared. Use it as
//
//	func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }
func Main(m *testing.M) int {
	inMain = true
	defer endShared()
	return m.Run()
}

var (
	inMain           bool
	sharedKafka      shared[*Broker]
	sharedPostgres   shared[*PostgresServer]
	sharedQdrant     shared[*QdrantServer]
	sharedRedis      shared[*RedisServer]
	sharedNeo4j      shared[*Neo4jServer]
	sharedOpenSearch shared[*OpenSearchServer]
	sharedLance      shared[*LanceServer]
	sharedSnowflake  shared[*SnowflakeServer]
	sharedFeast      shared[*FeastServer]
)

// SharedKafka returns the one broker of this package's tests, started by the first that asks. Don't stop it; take topic and
// group names from Name. Nobody waits for it to be missed: however slow the machine is, its controller takes it for alive.
func SharedKafka(t testing.TB) *Broker {
	t.Helper()
	alive := map[string]string{"broker.session.timeout.ms": "60000"}
	return sharedKafka.get(t, func(ctx context.Context) (*Broker, error) { return startKafka(ctx, KafkaOptions{Properties: alive}) })
}

// SharedPostgres returns the one server of this package's tests, started by the first that asks. Don't stop it; take a
// database from NewDatabase.
func SharedPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	return sharedPostgres.get(t, startPostgres)
}

// SharedQdrant returns the one server of this package's tests, started by the first that asks. Don't stop it; take a
// prefix for collections from Name.
func SharedQdrant(t testing.TB) *QdrantServer {
	t.Helper()
	return sharedQdrant.get(t, func(ctx context.Context) (*QdrantServer, error) { return startQdrant(ctx, QdrantOptions{}) })
}

// SharedRedis returns the one server of this package's tests, started by the first that asks, with its defaults. Don't stop it; take a prefix for
// keys from Name.
func SharedRedis(t testing.TB) *RedisServer {
	t.Helper()
	return sharedRedis.get(t, func(ctx context.Context) (*RedisServer, error) { return startRedis(ctx, RedisOptions{}) })
}

// SharedNeo4j returns the one server of this package's tests, started by the first that asks. Don't stop it. It has one database, which
// tests empty when they begin.
func SharedNeo4j(t testing.TB) *Neo4jServer {
	t.Helper()
	return sharedNeo4j.get(t, startNeo4j)
}

// SharedOpenSearch returns the one node of this package's tests, started by the first that asks. Don't stop it; take a prefix for indexes from Name,
// and drop them in the end: a node of this size keeps some hundreds.
func SharedOpenSearch(t testing.TB) *OpenSearchServer {
	t.Helper()
	return sharedOpenSearch.get(t, startOpenSearch)
}

// SharedLance returns the one server of this package's tests, started by the first that asks. Don't stop it; take a
// namespace from Name.
func SharedLance(t testing.TB) *LanceServer {
	t.Helper()
	return sharedLance.get(t, startLance)
}

// SharedSnowflake returns the one emulator of this package's tests, started by the first that asks, with its databases in memory. Don't stop it;
// take a schema from Name.
func SharedSnowflake(t testing.TB) *SnowflakeServer {
	t.Helper()
	return sharedSnowflake.get(t, func(ctx context.Context) (*SnowflakeServer, error) { return startSnowflake(ctx, SnowflakeOptions{}) })
}

// SharedFeast returns the one feature server of this package's tests, started by the first that asks. Don't stop it; take the names of views from Name.
func SharedFeast(t testing.TB) *FeastServer {
	t.Helper()
	return sharedFeast.get(t, startFeast)
}

func endShared() {
	sharedKafka.end()
	sharedPostgres.end()
	sharedQdrant.end()
	sharedRedis.end()
	sharedNeo4j.end()
	sharedOpenSearch.end()
	sharedLance.end()
	sharedSnowflake.end()
	sharedFeast.end()
}

// shared is a component that is started once; a start that failed is not tried again.
type shared[C interface{ close() }] struct {
	mu      sync.Mutex
	started bool
	it      C
	err     error
}

func (s *shared[C]) get(t testing.TB, start func(context.Context) (C, error)) C {
	t.Helper()
	if !inMain {
		t.Fatal("shared components need `func TestMain(m *testing.M) { os.Exit(testenv.Main(m)) }` in this package")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.started = true
		s.it, s.err = start(t.Context())
	}
	must(t, s.err)
	return s.it
}

func (s *shared[C]) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started && s.err == nil {
		s.it.close()
	}
}
