package testenv

import (
	"context"
	"fmt"
	"maps"
	"os"
	"testing"

	"golang.org/x/sync/errgroup"
)

// replicated are the settings of three brokers: every topic lies on all of them, and two must have a record.
var replicated = map[string]string{
	"default.replication.factor":                       "3",
	"min.insync.replicas":                              "2",
	"offsets.topic.replication.factor":                 "3",
	"offsets.topic.num.partitions":                     "3",
	"transaction.state.log.replication.factor":         "3",
	"transaction.state.log.min.isr":                    "2",
	"transaction.state.log.num.partitions":             "3",
	"share.coordinator.state.topic.replication.factor": "3",
	"share.coordinator.state.topic.min.isr":            "2",
}

// KafkaCluster starts three brokers with one controller, which no Kill and no Stop ends; they end with the test. Topics
// have three copies, of which two must be in step. One broker may be down at a time.
func KafkaCluster(t testing.TB, opts KafkaOptions) []*Broker {
	t.Helper()
	brokers, err := startCluster(t.Context(), 3, opts)
	must(t, err)
	t.Cleanup(func() {
		for _, b := range brokers {
			if t.Failed() {
				t.Log(b.process.tail())
			}
		}
		endCluster(brokers)
	})
	return brokers
}

func startCluster(ctx context.Context, n int, opts KafkaOptions) (brokers []*Broker, err error) {
	properties := maps.Clone(replicated)
	maps.Copy(properties, opts.Properties)
	ports, err := freePorts(n + 1)
	if err != nil {
		return nil, err
	}
	for i := range n {
		dir, err := os.MkdirTemp("", "freshet-kafka-")
		if err != nil {
			endCluster(brokers)
			return nil, fmt.Errorf("make a broker's directory: %w", err)
		}
		brokers = append(brokers, &Broker{dir: dir, opts: KafkaOptions{Properties: properties}, guest: i > 0,
			node: kafkaNode{id: i + 1, port: ports[i], controllerID: 101, controllerPort: ports[n]}})
	}
	if err := startAll(ctx, brokers); err != nil {
		endCluster(brokers)
		return nil, err
	}
	return brokers, nil
}

// startAll formats all brokers side by side, starts the controller, and then the brokers, again side by side.
func startAll(ctx context.Context, brokers []*Broker) (err error) {
	formats, within := errgroup.WithContext(ctx)
	for _, b := range brokers {
		roles := []string{"broker"}
		if !b.guest {
			roles = append(roles, "controller")
		}
		formats.Go(func() error { return b.format(within, roles...) })
	}
	if err := formats.Wait(); err != nil {
		return err
	}
	controller, err := brokers[0].launch("controller")
	if err != nil {
		return err
	}
	starts, within := errgroup.WithContext(ctx)
	for _, b := range brokers {
		b.controller = controller
		starts.Go(func() error { return b.start(within) })
	}
	return starts.Wait()
}

// endCluster ends the brokers before their controller.
func endCluster(brokers []*Broker) {
	for i := len(brokers) - 1; i >= 0; i-- {
		brokers[i].close()
	}
}
