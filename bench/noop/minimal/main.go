// Command minimal is the yardstick of the no-op benchmark: the least that an exactly-once program on Kafka does. It polls,
// produces every tenth record, and commits both in one transaction, with the client's settings that Freshet's processor
// has. It decodes nothing, keeps no state and knows no no-op from a change: the share is given.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/bench/workload"
)

// transaction is how many records one transaction takes at most, as Freshet's processor does.
const transaction = 10_000

func main() {
	brokers := flag.String("brokers", "", "bootstrap addresses")
	from := flag.String("from", "", "topic to read")
	to := flag.String("to", "", "topic to write")
	group := flag.String("group", "", "consumer group")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, strings.Split(*brokers, ","), *from, *to, *group); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, brokers []string, from, to, group string) error {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(from),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxPartitionBytes(2<<20),
		kgo.FetchMaxBytes(32<<20),
		kgo.TransactionalID(group),
		kgo.TransactionTimeout(10*time.Second),
		kgo.DefaultProduceTopic(to),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerLinger(0),
		kgo.DisableClientMetrics(),
	)
	if err != nil {
		return fmt.Errorf("join group %s: %w", group, err)
	}
	defer session.Close()
	for {
		fetches := session.PollRecords(ctx, transaction)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", from, err)
		}
		if err := forward(ctx, session, fetches); err != nil {
			return err
		}
	}
}

// forward is one transaction.
func forward(ctx context.Context, session *kgo.GroupTransactSession, fetches kgo.Fetches) error {
	if err := session.Begin(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	first := kgo.AbortingFirstErrPromise(session.Client())
	fetches.EachRecord(func(r *kgo.Record) {
		if r.Offset%workload.ChangedEvery == 0 {
			session.Produce(ctx, &kgo.Record{Key: r.Key, Value: r.Value}, first.Promise())
		}
	})
	_, err := session.End(context.WithoutCancel(ctx), kgo.TransactionEndTry(first.Err() == nil))
	if err != nil {
		return fmt.Errorf("end a transaction: %w", err)
	}
	return nil
}
