// Package access says how brokers are reached: by TLS or not, and signed in by SASL or not. What it needs it reads at each
// connection, so that a rotated password or certificate needs no restart; no secret is in an error.
package access

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// The mechanisms, by the names that Kafka gives them.
const (
	plainText   = "PLAIN"
	scramSHA256 = "SCRAM-SHA-256"
	scramSHA512 = "SCRAM-SHA-512"
)

// Settings declares how brokers are reached, for the flow's own and for those of a target.
func Settings() []stream.Setting {
	return []stream.Setting{
		{Name: "tls", Kind: stream.SettingBool, Doc: "Whether brokers are reached by TLS."},
		trust.Setting(),
		{Name: "cert", Kind: stream.SettingPath, Doc: "PEM file of the certificate to show to brokers (mutual TLS), relative to the flow file; it needs `key`."},
		{Name: "key", Kind: stream.SettingPath, Doc: "PEM file of that certificate's private key, relative to the flow file."},
		{Name: "sasl", Kind: stream.SettingString, Enum: []string{plainText, scramSHA256, scramSHA512}, Doc: "How to sign in to brokers; it needs `username` and `password`."},
		{Name: "username", Kind: stream.SettingSecret, Doc: "User, read again at each connection."},
		{Name: "password", Kind: stream.SettingSecret, Doc: "Password, read again at each connection. Without `tls`, PLAIN sends it as it is."},
	}
}

// Check refuses settings that don't go together. It reads nothing.
func Check(s stream.Settings) error {
	set := func(name string) bool { return s.String(name) != "" }
	for _, c := range []struct {
		fault bool
		say   string
	}{
		{!s.Bool("tls") && (set("ca") || set("cert") || set("key")), "`ca`, `cert` and `key` are for TLS; write `tls: true` too"},
		{set("cert") != set("key"), "`cert` and `key` belong together; give both, or none"},
		{set("sasl") && !(set("username") && set("password")), "`sasl` needs `username` and `password`"},
		{!set("sasl") && (set("username") || set("password")), "`username` and `password` need `sasl: " + plainText + "`, `" + scramSHA256 + "` or `" + scramSHA512 + "`"},
	} {
		if c.fault {
			return errors.New(c.say)
		}
	}
	return nil
}

// Dial opens a connection to a broker.
type Dial func(ctx context.Context, network, host string) (net.Conn, error)

// Options are those of a client that reaches brokers so. dial makes the connections below TLS; nil: TCP.
func Options(s stream.Settings, dial Dial) []kgo.Opt {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	if s.Bool("tls") {
		dial = secured(s, dial)
	}
	opts := []kgo.Opt{kgo.Dialer(dial)}
	if m := mechanism(s); m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts
}

// secured shakes hands on what dial opens.
func secured(s stream.Settings, dial Dial) Dial {
	return func(ctx context.Context, network, host string) (net.Conn, error) {
		c, err := Config(s)
		if err != nil {
			return nil, err
		}
		if c.ServerName, _, err = net.SplitHostPort(host); err != nil {
			return nil, err
		}
		bare, err := dial(ctx, network, host)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(bare, c)
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = bare.Close() // the handshake's error says more
			return nil, err
		}
		return conn, nil
	}
}

// Config reads the certificates now. Errors have kind Usage.
func Config(s stream.Settings) (*tls.Config, error) {
	const op = "reach brokers by TLS"
	c, err := trust.Config(op, s.Path("ca"))
	if err != nil || s.String("cert") == "" {
		return c, err
	}
	pair, err := tls.LoadX509KeyPair(s.Path("cert"), s.Path("key"))
	if err != nil {
		return nil, &stream.Error{Op: op, Kind: stream.Usage, Err: fmt.Errorf("settings cert and key: %w", err)}
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

func mechanism(s stream.Settings) sasl.Mechanism {
	sign := func() (user, password string, err error) {
		if user, err = s.Secret("username").Resolve(); err == nil {
			password, err = s.Secret("password").Resolve()
		}
		return user, password, err
	}
	byScram := func(context.Context) (a scram.Auth, err error) {
		a.User, a.Pass, err = sign()
		return a, err
	}
	switch s.String("sasl") {
	case plainText:
		return plain.Plain(func(context.Context) (a plain.Auth, err error) {
			a.User, a.Pass, err = sign()
			return a, err
		})
	case scramSHA256:
		return scram.Sha256(byScram)
	case scramSHA512:
		return scram.Sha512(byScram)
	}
	return nil
}

// Refused reports whether brokers refused the user or the mechanism.
func Refused(err error) bool {
	return errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism) || errors.Is(err, kerr.IllegalSaslState)
}

// Untrusted reports whether brokers showed a certificate that is not trusted.
func Untrusted(err error) bool { return errors.As(err, new(*tls.CertificateVerificationError)) }
