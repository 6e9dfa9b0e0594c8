package testenv

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestInstallerMakesTheVersionsThatAreStarted(t *testing.T) {
	text, err := os.ReadFile("../../tools/components/install")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []component{kafkaComponent, postgresComponent, connectComponent, debeziumComponent, qdrantComponent, redisComponent, neo4jComponent, openSearch,
		lanceComponent, fakesnowComponent} {
		if line := fmt.Sprintf("\n  component %s %s ", c.name, c.version); !strings.Contains(string(text), line) {
			t.Errorf("tools/components/install does not make %s %s", c.name, c.version)
		}
	}
	for name, version := range map[string]string{"kafka": kafkaComponent.version, "connect": connectComponent.version,
		"debezium-postgres": debeziumComponent.version, "neo4j": neo4jComponent.version, "opensearch": openSearch.version} {
		pom, err := os.ReadFile("../../tools/components/" + name + ".pom.xml")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(pom), "<version>"+version+"</version>") {
			t.Errorf("%s.pom.xml does not name version %s", name, version)
		}
	}
}

// outcome records how a test would have ended.
type outcome struct {
	testing.TB
	skipped, failed string
}

func (o *outcome) Skip(args ...any)  { o.skipped = fmt.Sprint(args...) }
func (o *outcome) Fatal(args ...any) { o.failed = fmt.Sprint(args...) }

func TestMissingComponent(t *testing.T) {
	t.Setenv("FRESHET_CACHE", t.TempDir())
	_, err := kafkaComponent.dir()
	var gone *missing
	if !errors.As(err, &gone) {
		t.Fatalf("an empty cache gives %v, want a missing component", err)
	}
	t.Setenv("CI", "")
	o := &outcome{TB: t}
	must(o, err)
	if !strings.HasPrefix(o.skipped, "SKIP-COMPONENT kafka: ") || o.failed != "" {
		t.Errorf("without CI it skips with %q and fails with %q", o.skipped, o.failed)
	}
	t.Setenv("CI", "true")
	o = &outcome{TB: t}
	must(o, err)
	if o.failed == "" || o.skipped != "" {
		t.Errorf("with CI=true it skips with %q and fails with %q, want a failure", o.skipped, o.failed)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	ports, err := freePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for _, port := range ports {
		if seen[port] || port < lowestPort || port >= highestPort {
			t.Errorf("port %d is repeated or out of range", port)
		}
		seen[port] = true
	}
}
