package access_test

import (
	"context"
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/access"
)

// settings are written as "name=value"; tls alone means true.
func settings(written ...string) stream.Settings {
	var all []stream.Entry
	for _, w := range written {
		name, value, _ := strings.Cut(w, "=")
		v := stream.StringOf(value)
		if name == "tls" {
			v = stream.BoolOf(true)
		}
		all = append(all, stream.Entry{Key: name, Value: v})
	}
	return stream.Settings{Values: stream.MapOf(all...)}
}

// TestCheck: what does not go together is refused, and says what is missing.
func TestCheck(t *testing.T) {
	for written, want := range map[string]string{
		"":                                 "",
		"tls":                              "",
		"tls ca=x cert=y key=z":            "",
		"sasl=PLAIN username=u password=p": "",
		"ca=x":                             "tls: true",
		"tls cert=y":                       "`cert` and `key`",
		"sasl=PLAIN username=u":            "`username` and `password`",
		"username=u password=p":            "SCRAM-SHA-512",
	} {
		err := access.Check(settings(strings.Fields(written)...))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", written, err, want)
		}
	}
}

// TestOptions reaches brokers that want TLS and a user, by each mechanism; a password that is rotated is read again.
func TestOptions(t *testing.T) {
	cert, key := testenv.Certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	brokers, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}),
		kfake.Superuser("PLAIN", "plain", "one"), kfake.Superuser("SCRAM-SHA-256", "s256", "two"), kfake.Superuser("SCRAM-SHA-512", "s512", "three"))
	if err != nil {
		t.Fatal(err)
	}
	defer brokers.Close()
	reach := func(s stream.Settings) error {
		cl, err := kgo.NewClient(append(access.Options(s, nil), kgo.SeedBrokers(brokers.ListenAddrs()...), kgo.RetryTimeout(2*time.Second))...)
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return cl.Ping(ctx)
	}
	password := filepath.Join(t.TempDir(), "password")
	put := func(text string) {
		if err := os.WriteFile(password, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("BROKER_USER", "plain")
	for _, c := range []struct{ mechanism, user, password string }{
		{"PLAIN", "env:BROKER_USER", "one"}, {"SCRAM-SHA-256", "s256", "two"}, {"SCRAM-SHA-512", "s512", "three"},
	} {
		s := settings("tls", "ca="+cert, "sasl="+c.mechanism, "username="+c.user, "password=file:"+password)
		put(c.password)
		if err := reach(s); err != nil {
			t.Errorf("by %s: %v", c.mechanism, err)
		}
		put("wrong-secret")
		if err := reach(s); err == nil || strings.Contains(err.Error(), "wrong-secret") { // how real brokers say so: internal/e2e
			t.Errorf("by %s with a wrong password: %v", c.mechanism, err)
		}
	}
	if err := reach(settings("tls", "sasl=PLAIN", "username=plain", "password=one")); !access.Untrusted(err) {
		t.Errorf("a certificate that no authority signed: %v", err)
	}
	if err := reach(settings("tls", "ca="+key)); stream.KindOf(err) != stream.Usage {
		t.Errorf("a file without certificates: %v", err)
	}
	if err := reach(settings("tls", "ca="+cert, "cert="+cert, "key="+filepath.Join(t.TempDir(), "none"))); stream.KindOf(err) != stream.Usage {
		t.Errorf("no key: %v", err)
	}
}
