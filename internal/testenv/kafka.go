package testenv

import (
	"context"
	_ "embed" // kafka.properties
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

//go:embed kafka.properties
var kafkaProperties string

// clusterID is any 16 bytes in base64; every data directory is formatted with it.
const clusterID = "ZnJlc2hldC10ZXN0ZW52MQ"

// KafkaOptions choose a broker's settings.
type KafkaOptions struct {
	// Properties are added to kafka.properties and win over it, e.g. "log.segment.bytes": "1048576".
	Properties map[string]string
	// Cert and Key are PEM files, see Certificate: with them the broker also listens at SecuredAddr, by TLS, for users who sign in by
	// PLAIN or SCRAM. PLAIN knows the user alice with the password alice-secret; others are made by an admin client at Addr.
	Cert, Key string
}

// Broker is one real Kafka broker on a fixed port and a fixed data directory: after Kill or Stop, Start brings the same
// broker back. Methods are for one goroutine at a time.
//
// Its controller is a process of its own, which Kill and Stop leave running. A broker that is its own controller loses
// transactions in Kafka 4.3.1: killed after a commit was answered and before the markers were written, it starts from
// metadata that still call it the leader, finds no leader when it then fences itself, takes the partitions for deleted
// ("these partitions are likely deleted already"), and completes the transaction without its markers. Its records stay
// invisible for good. With a controller that outlives it, it starts fenced.
type Broker struct {
	dir        string
	node       kafkaNode
	opts       KafkaOptions
	controller *process
	guest      bool // the controller belongs to another broker of the cluster
	process    *process
}

// kafkaNode is where a broker and its controller listen, on 127.0.0.1.
type kafkaNode struct{ id, port, controllerID, controllerPort, securedPort int }

// Kafka starts a broker of its own for this test; it ends with the test.
func Kafka(t testing.TB, opts KafkaOptions) *Broker {
	t.Helper()
	b, err := startKafka(t.Context(), opts)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(b.process.tail())
		}
		b.close()
	})
	return b
}

// Addr is the broker's bootstrap address, host:port.
func (b *Broker) Addr() string { return local(b.node.port) }

// SecuredAddr is where it listens by TLS, if it does.
func (b *Broker) SecuredAddr() string { return local(b.node.securedPort) }

// LogDir is the directory of the broker's partitions.
func (b *Broker) LogDir() string { return filepath.Join(b.dir, "broker") }

// Kill ends the broker by SIGKILL and returns when it is gone.
func (b *Broker) Kill() { b.process.kill() }

// Stop lets the broker shut down cleanly, and returns when it has ended.
func (b *Broker) Stop() { b.process.stop(syscall.SIGTERM, 30*time.Second) }

// Start starts a broker that was killed or stopped, and returns when it answers.
func (b *Broker) Start(t testing.TB) {
	t.Helper()
	must(t, b.start(t.Context()))
}

// startKafka formats a new data directory and starts a broker on it.
func startKafka(ctx context.Context, opts KafkaOptions) (*Broker, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "freshet-kafka-")
	if err != nil {
		return nil, fmt.Errorf("make the broker's directory: %w", err)
	}
	b := &Broker{dir: dir, opts: opts,
		node: kafkaNode{id: 1, port: ports[0], controllerID: 101, controllerPort: ports[1], securedPort: ports[2]}}
	if err := b.format(ctx, "controller", "broker"); err != nil {
		b.close()
		return nil, err
	}
	if err := b.start(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// close ends the broker with its own controller, and removes their data.
func (b *Broker) close() {
	b.process.kill()
	if !b.guest {
		b.controller.kill()
	}
	_ = os.RemoveAll(b.dir)
}
