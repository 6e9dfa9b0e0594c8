package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/access"
)

// Cluster says how to reach Kafka.
type Cluster struct {
	Brokers []string
	Dial    access.Dial     // below TLS; nil: TCP
	Access  stream.Settings // those of package access
	Hooks   []kgo.Hook      // metrics of every client
	Log     *slog.Logger
	// Embedded marks the in-process broker, which knows no feature levels and whose topics keep no retention.
	Embedded bool
	// Patience is after how long the brokers give up a member that is silent, and a transaction that is left open; 0: 10 s.
	// Tests shorten it.
	Patience time.Duration
}

func (c Cluster) patience() time.Duration { return cmp.Or(c.Patience, 10*time.Second) }

// connectWithin is how long a start waits for a broker.
const connectWithin = 8 * time.Second

func (c Cluster) options(extra ...kgo.Opt) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("freshet"),
		kgo.MetadataMinAge(100 * time.Millisecond), // leaders that move are found again at once
		kgo.DisableClientMetrics(),
		kgo.WithHooks(c.Hooks...),
	}
	return slices.Concat(opts, access.Options(c.Access, c.Dial), extra)
}

func (c Cluster) client(extra ...kgo.Opt) (*kgo.Client, error) {
	cl, err := kgo.NewClient(c.options(extra...)...)
	if err != nil {
		return nil, &stream.Error{Op: "make a Kafka client", Kind: stream.Usage, Err: err}
	}
	return cl, nil
}

// admin calls fn with a client for administration.
func (c Cluster) admin(fn func(*kadm.Client) error) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	return fn(kadm.NewClient(cl))
}

// Check reports, within seconds, whether the brokers answer and can give exactly-once: transaction.version ≥ 2.
func (c Cluster) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	op := "connect to Kafka at " + strings.Join(c.Brokers, ", ")
	cl, err := c.client()
	if err != nil {
		return err
	}
	defer cl.Close()
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "freshet", "1"
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return unreached(op, err)
	}
	if c.Embedded {
		return nil
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" && f.MaxVersionLevel >= 2 {
			return nil
		}
	}
	return stream.Errorf(stream.Usage, op, "the cluster's feature transaction.version is below 2, with which exactly-once is not "+
		"safe; raise it with: kafka-features.sh --bootstrap-server %s upgrade --feature transaction.version=2", c.Brokers[0])
}

// unreached says why brokers don't answer. What won't pass by itself has kind Usage.
func unreached(op string, err error) error {
	var usage *stream.Error
	switch {
	case errors.As(err, &usage) && usage.Kind == stream.Usage: // a certificate or secret that can't be read
		return &stream.Error{Op: op, Kind: stream.Usage, Err: err}
	case access.Refused(err):
		return stream.Errorf(stream.Usage, op, "the brokers refuse the user (%w); correct kafka.sasl, username and password", err)
	case access.Untrusted(err):
		return stream.Errorf(stream.Usage, op, "the brokers show a certificate that is not trusted (%w); correct kafka.ca, or the names in kafka.brokers", err)
	}
	return &stream.Error{Op: op, Kind: stream.Transient,
		Err: fmt.Errorf("no broker answered (%w); start it, or correct kafka.brokers and kafka.tls in the flow file", cause(err))}
}

// cause shortens a time-out to what the user can act on.
func cause(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("waited %s", connectWithin)
	}
	return err
}

// retriable reports whether a Kafka error may go away by itself.
func retriable(err error) bool {
	var network net.Error
	return kerr.IsRetriable(err) || errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, kgo.ErrRecordTimeout)
}
