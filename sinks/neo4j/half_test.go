package neo4j_test

import (
	"testing"

	driver "github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestHalfMadeConstraint: what a server that is killed while it makes a constraint leaves of it is replaced when the target is opened.
func TestHalfMadeConstraint(t *testing.T) {
	server := testenv.Neo4j(t)
	d := client(t, server.URL(), server.User(), server.Password())
	const name = "_freshet_lock_is_unique"
	must(t, openGraph(t, d).Close())
	for n := 8000; !d.isHalfMade(t, name); n *= 2 {
		if n > 64_000 {
			t.Fatal("the constraint was made faster each time than the server was killed")
		}
		d.ask(t, "DROP CONSTRAINT "+name+" IF EXISTS", nil)
		d.ask(t, "UNWIND range(1, $n) AS i CREATE (:_freshet_lock {name: 'x' + i + '/' + $n})", map[string]any{"n": n})
		making := make(chan error, 1)
		go func() {
			session := d.client.NewSession(t.Context(), driver.SessionConfig{})
			defer session.Close(t.Context())
			_, err := session.Run(t.Context(), "CREATE CONSTRAINT "+name+" FOR (n:_freshet_lock) REQUIRE n.name IS UNIQUE", nil)
			making <- err
		}()
		for len(d.ask(t, "SHOW INDEXES YIELD name WHERE name = $name RETURN name", map[string]any{"name": name})) == 0 {
		}
		server.Kill()
		<-making
		server.Start(t)
	}
	d.ask(t, "MATCH (n:_freshet_lock) DELETE n", nil)

	openGraph(t, d)
	if d.isHalfMade(t, name) || len(d.constraint(t, name)) != 1 {
		t.Error("the constraint is not there")
	}
}

func (d database) constraint(t testing.TB, name string) [][]any {
	t.Helper()
	return d.ask(t, "SHOW CONSTRAINTS YIELD name WHERE name = $name RETURN name", map[string]any{"name": name})
}

// isHalfMade reports whether there is an index for a constraint that is not there.
func (d database) isHalfMade(t testing.TB, name string) bool {
	t.Helper()
	index := d.ask(t, "SHOW INDEXES YIELD name WHERE name = $name RETURN name", map[string]any{"name": name})
	return len(index) == 1 && len(d.constraint(t, name)) == 0
}
