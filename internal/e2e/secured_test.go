package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// TestSecuredBroker: a flow on brokers that want TLS and a user: a password that is wrong, and a certificate that is not trusted, end
// the start with what to correct; with right ones a SQLite file and topics are kept in step, by PLAIN and by SCRAM.
func TestSecuredBroker(t *testing.T) {
	cert, key := testenv.Certificate(t)
	broker := testenv.Kafka(t, testenv.KafkaOptions{Cert: cert, Key: key})
	admin := openTopic(t, broker, "none").adm
	made, err := admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "bob", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: "bob-secret"}})
	if err != nil || made.Error() != nil {
		t.Fatal(err, made.Error())
	}
	const file = `flow: %s
kafka: { brokers: ["%s"], partitions: 2, tls: true%s, sasl: %s, username: "env:KAFKA_USER", password: "file:password" }
sources: { page: { files: { root: ./docs, include: ["**/*.md"] } } }
tables: { pages: { columns: { path: page.path, text: page.content } } }
targets:
  local: { sqlite: { path: out.db }, tables: [pages] }
  out:   { topic: { prefix: "%[1]s." }, tables: [pages] }
`
	start := func(flow, ca, mechanism, user, password string) *project {
		p := newProject(t, fmt.Sprintf(file, flow, broker.SecuredAddr(), ca, mechanism))
		text, err := os.ReadFile(cert)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.dir, "ca.pem"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.write("password", password)
		p.write("docs/a.md", "Herons fish at dawn.")
		p.env = []string{"KAFKA_USER=" + user}
		return p
	}
	const ca = ", ca: ca.pem"
	for _, c := range []struct{ ca, user, password, say string }{
		{ca, "alice", "a-wrong-secret", "the brokers refuse the user"},
		{"", "alice", "alice-secret", "a certificate that is not trusted"},
	} {
		p := start("refused", c.ca, "PLAIN", c.user, c.password).run("--once")
		p.exits(2)
		if said := p.stderr.String(); !strings.Contains(said, c.say) || strings.Contains(said, c.password) {
			t.Errorf("it says %q, want %q", said, c.say)
		}
	}
	for mechanism, user := range map[string]string{"PLAIN": "alice", "SCRAM-SHA-512": "bob"} {
		p := start("by-"+strings.ToLower(mechanism), ca, mechanism, user, user+"-secret")
		p.runOnce()
		if rows := p.rows("pages"); len(rows) != 1 {
			t.Errorf("by %s: %d rows in SQLite, want 1", mechanism, len(rows))
		}
		p.clean("local", 1)
		p.clean("out", 1)
	}
}
