// Package embedded runs a Kafka broker inside the process, so that `freshet dev` needs no service. It is franz-go's kfake
// with its data on disk: one process, one node, the real protocol.
package embedded

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/freshet-dev/freshet/stream"
)

// Broker is a running broker. Close it.
type Broker struct {
	cluster *kfake.Cluster
	dir     string
}

// Options are what a broker is started with.
type Options struct {
	Dir    string                                              // data; "": in memory
	Listen func(network, address string) (net.Listener, error) // nil: TCP on loopback, a free port
	Sync   bool                                                // every write reaches the disk before it is acknowledged
	// Groups commit their offsets in transactions. After a kill these are deleted: of the last transaction they may be missing though its
	// records are there, since kfake writes one after the other, and keeps offsets nowhere before that.
	Groups []string
}

// Start starts a broker on loopback. A directory that another process uses is refused by the caller's lock. Before Start returns, what was
// in open transactions when a process was killed is ended: committed where the commit had begun, else aborted. For that it reads all that the
// directory holds.
func Start(ctx context.Context, o Options) (*Broker, error) {
	b, err := start(ctx, o)
	if err != nil {
		return nil, &stream.Error{Op: "start the in-process broker", Kind: stream.Usage, Err: fmt.Errorf("data directory %q: %w", o.Dir, err)}
	}
	return b, nil
}

func start(ctx context.Context, o Options) (*Broker, error) {
	closed := true
	if o.Dir != "" {
		var err error
		if closed, err = opened(o.Dir); err != nil {
			return nil, err
		}
	}
	b, err := open(o)
	if err != nil || closed {
		return b, err
	}
	again, err := b.endUnfinished(ctx)
	if err == nil {
		err = b.forgetOffsets(ctx, o.Groups)
	}
	if err != nil {
		b.cluster.Close()
		return nil, fmt.Errorf("end what a killed process left open: %w", err)
	}
	if again {
		b.cluster.Close()
		if err := forgetSnapshots(o.Dir); err != nil {
			return nil, err
		}
		if b, err = open(o); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func open(o Options) (*Broker, error) {
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		// The cleaner of kfake loses committed values while a transaction is open (measured), so it never runs.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "9000000000000", "message.max.bytes": "16777216"}),
	}
	if o.Dir != "" {
		opts = append(opts, kfake.DataDir(o.Dir))
	}
	if o.Sync {
		opts = append(opts, kfake.SyncWrites())
	}
	if o.Listen != nil {
		opts = append(opts, kfake.ListenFn(o.Listen))
	}
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, err
	}
	return &Broker{cluster: c, dir: o.Dir}, nil
}

// Addresses are where clients reach the broker.
func (b *Broker) Addresses() []string { return b.cluster.ListenAddrs() }

// Cluster is the fake itself, for tests that inject faults.
func (b *Broker) Cluster() *kfake.Cluster { return b.cluster }

// Close stops the broker; its data stays.
func (b *Broker) Close() {
	b.cluster.Close()
	if b.dir != "" {
		// Not written: the next start reads more than it has to.
		_ = os.WriteFile(filepath.Join(b.dir, closedFile), nil, 0o600)
	}
}
