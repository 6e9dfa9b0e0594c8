package neo4j_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	driver "github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/sinks/neo4j"
	"github.com/freshet-dev/freshet/sinks/sinktest"
	"github.com/freshet-dev/freshet/stream"
)

func TestMain(m *testing.M) {
	if err := flag.Set("rapid.checks", "15"); err != nil { // each has some hundred transactions, and declares its tables anew
		panic(err)
	}
	flag.Parse()
	os.Exit(testenv.Main(m))
}

func TestContract(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Harness { return empty(t).harness() })
}

// database is the server's one, and a client of the test's own.
type database struct {
	url    string
	client driver.DriverWithContext
}

// empty returns the shared server's database with nothing in it, constraints and indexes included.
func empty(t testing.TB) database {
	t.Helper()
	s := testenv.SharedNeo4j(t)
	d := client(t, s.URL(), s.User(), s.Password())
	for _, row := range d.ask(t, "SHOW CONSTRAINTS YIELD name RETURN name", nil) {
		d.ask(t, fmt.Sprintf("DROP CONSTRAINT %s", row[0]), nil)
	}
	for _, row := range d.ask(t, "SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP' RETURN name", nil) {
		d.ask(t, "DROP INDEX "+quote(row[0].(string)), nil)
	}
	for n := int64(1); n > 0; {
		n = d.ask(t, "MATCH (n) WITH n LIMIT 5000 DETACH DELETE n RETURN count(*)", nil)[0][0].(int64)
	}
	return d
}

func client(t testing.TB, url, user, password string) database {
	t.Helper()
	c, err := driver.NewDriverWithContext(url, driver.BasicAuth(user, password, ""))
	must(t, err)
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	return database{strings.Replace(url, "://", "://"+user+":"+password+"@", 1), c}
}

// ask runs one statement and returns its rows.
func (d database) ask(t testing.TB, cypher string, args map[string]any) [][]any {
	t.Helper()
	result, err := driver.ExecuteQuery(t.Context(), d.client, cypher, args, driver.EagerResultTransformer)
	if err != nil {
		t.Fatalf("%s: %v", cypher, err)
	}
	rows := make([][]any, len(result.Records))
	for i, r := range result.Records {
		rows[i] = r.Values
	}
	return rows
}

func (d database) harness() sinktest.Harness {
	return sinktest.Harness{
		New:         func(tables []stream.TargetTable) (stream.Sink, error) { return newSink(d.url, tables...) },
		MakeForeign: func(t *testing.T, table string) { d.ask(t, "CREATE (:"+quote(table)+" {mine: 1})", nil) },
		Alter: func(t *testing.T, table string) {
			d.ask(t, "CREATE CONSTRAINT mine FOR (n:"+quote(table)+") REQUIRE n.added IS UNIQUE", nil)
		},
		Drop: func(t *testing.T, table string) {
			for _, row := range d.ask(t, "SHOW CONSTRAINTS YIELD name, labelsOrTypes WHERE $label IN labelsOrTypes RETURN name", map[string]any{"label": table}) {
				d.ask(t, fmt.Sprintf("DROP CONSTRAINT %s", row[0]), nil)
			}
			d.ask(t, "MATCH (n:"+quote(table)+") DETACH DELETE n", nil)
		},
		Edit: func(t *testing.T, row stream.RowID, column, text string) {
			d.ask(t, "MATCH (n:"+quote(row.Table)+" {_document: $document, _key: $key}) SET n["+"$column] = $text",
				map[string]any{"document": row.Document, "key": row.Key, "column": column, "text": text})
		},
		See:      func(t *testing.T, name string) []string { return d.texts(t, name) },
		Switches: 20, // the server takes its time
		Is:       sinktest.Guarantees{Guarantees: neo4j.Spec().Guarantees},
	}
}

// texts reads column text through a front, as docs/targets/neo4j.md tells readers to.
func (d database) texts(t testing.TB, front string) (texts []string) {
	t.Helper()
	label, _ := d.ask(t, "MATCH (f:_freshet_front {name: $name}) RETURN f.name + '__' + f.edition", map[string]any{"name": front})[0][0].(string)
	for _, row := range d.ask(t, "MATCH (n:"+quote(label)+") RETURN n.text", nil) {
		text, _ := row[0].(string)
		texts = append(texts, text)
	}
	return texts
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func newSink(url string, tables ...stream.TargetTable) (stream.Sink, error) {
	return neo4j.Spec().New(stream.SinkConfig{Settings: settings("url", url), Tables: tables})
}

func settings(pairs ...string) stream.Settings {
	var entries []stream.Entry
	for i := 0; i < len(pairs); i += 2 {
		entries = append(entries, stream.Entry{Key: pairs[i], Value: stream.StringOf(pairs[i+1])})
	}
	return stream.Settings{Values: stream.MapOf(entries...)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v (kind %s)", err, stream.KindOf(err))
	}
}
