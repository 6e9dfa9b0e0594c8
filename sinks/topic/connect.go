package topic

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/access"
)

// maxMessageBytes is what one record batch may have. It is above the rows topic's: JSON takes more room.
const maxMessageBytes = 48 << 20

// transactionTimeout is how long the brokers keep a transaction open. A step may take no longer; a writer that was killed
// and that nobody replaces holds readers of committed records up for as long.
const transactionTimeout = 5 * time.Minute

// patience is for how long something is asked of brokers before it counts as failed for now.
const patience = 30 * time.Second

// newClient returns a client; none is connected yet.
func (s *Sink) newClient(extra ...kgo.Opt) (*kgo.Client, error) {
	if len(s.brokers) == 0 {
		return nil, stream.Errorf(stream.Usage, configuring, "no brokers are known: give the target `brokers`, or the flow `kafka.brokers`")
	}
	cl, err := kgo.NewClient(slices.Concat([]kgo.Opt{
		kgo.SeedBrokers(s.brokers...),
		kgo.ClientID("freshet"),
		kgo.MetadataMinAge(100 * time.Millisecond), // leaders that move are found again at once
		kgo.RetryTimeout(s.patience),
		kgo.DisableClientMetrics(),
	}, access.Options(s.access, s.dial), extra)...)
	if err != nil {
		return nil, &stream.Error{Op: configuring, Kind: stream.Usage, Err: err}
	}
	return cl, nil
}

// newProducer returns a client with a transactional ID, which it takes with its first request.
func (s *Sink) newProducer(id string) (*kgo.Client, error) {
	return s.newClient(
		kgo.TransactionalID(id),
		kgo.TransactionTimeout(transactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordDeliveryTimeout(s.patience),
		kgo.ProducerBatchMaxBytes(s.batchBytes-s.batchBytes/64),
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.ProducerLinger(0),
		kgo.MaxBufferedRecords(20_000),
		kgo.MaxBufferedBytes(96<<20),
	)
}

// checkCluster makes sure that the brokers can give exactly-once; the flow's own were asked already.
func (s *Sink) checkCluster(ctx context.Context, cl *kgo.Client) error {
	if s.home {
		return nil
	}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "freshet", "1"
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("no broker answered at %s: %w", strings.Join(s.brokers, ", "), err)
	}
	for _, f := range resp.FinalizedFeatures {
		if f.Name == "transaction.version" && f.MaxVersionLevel >= 2 {
			return nil
		}
	}
	return stream.Errorf(stream.Usage, s.op("open"), "the cluster's feature transaction.version is below 2, with which exactly-once is not "+
		"safe; raise it with: kafka-features.sh --bootstrap-server %s upgrade --feature transaction.version=2", s.brokers[0])
}

// Answers of brokers by what they mean for a writer.
var (
	stale = []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping, kerr.UnknownProducerID,
		kerr.InvalidTxnState, kerr.OutOfOrderSequenceNumber}
	forbidden = []*kerr.Error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed}
	tooLarge  = []*kerr.Error{kerr.MessageTooLarge, kerr.RecordListTooLarge}
	unwilling = []*kerr.Error{kerr.InvalidTopicException, kerr.InvalidTransactionTimeout, kerr.InvalidConfig,
		kerr.PolicyViolation, kerr.UnsupportedVersion}
)

func isOne(err error, of []*kerr.Error) bool {
	for _, e := range of {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// classed gives an error its context and its class.
func (s *Sink) classed(doing string, err error) error {
	var own *stream.Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	out := &stream.Error{Op: s.op(doing), Kind: stream.Transient, Err: err}
	answer := (*kerr.Error)(nil)
	switch {
	case isOne(err, stale):
		out.Kind = stream.Fenced
	case access.Refused(err):
		out.Kind, out.Err = stream.Usage, fmt.Errorf("the brokers refuse the user (%w); correct sasl, username and password", err)
	case access.Untrusted(err):
		out.Kind, out.Err = stream.Usage, fmt.Errorf("the brokers show a certificate that is not trusted (%w); correct ca, or the names of the brokers", err)
	case isOne(err, forbidden):
		out.Kind, out.Err = stream.Usage, fmt.Errorf("the brokers refuse it (%w): give Freshet's user the right to create, describe, read and "+
			"write topics that begin with the target's names, and to use transactional IDs that begin with %s", err, s.names.places)
	case isOne(err, tooLarge):
		out.Kind, out.Err = stream.Usage, fmt.Errorf("%w; raise the topic's max.message.bytes (topics that Freshet creates have %d)", err, maxMessageBytes)
	case errors.Is(err, kerr.InvalidReplicationFactor): // too few brokers are there now
	case errors.Is(err, kerr.UnknownServerError): // trouble of the broker's own, as when another takes the partition while it commits
	case isOne(err, unwilling):
		out.Kind = stream.Usage
	case errors.As(err, &answer) && !answer.Retriable && !errors.Is(err, kerr.TransactionAbortable) && !errors.Is(err, kerr.OperationNotAttempted):
		out.Kind = stream.Internal
	}
	return out
}
