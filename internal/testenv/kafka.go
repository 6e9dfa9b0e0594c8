package testenv

import (
	"context"
	_ "embed" // kafka.properties
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

//go:embed kafka.properties
var kafkaProperties string

// clusterID is any 16 bytes in base64; every data directory is formatted with it.
const clusterID = "ZnJlc2hldC10ZXN0ZW52MQ"

// KafkaOptions choose a broker's settings.
type KafkaOptions struct {
	// Properties are added to kafka.properties and win over it, e.g. "log.segment.bytes": "1048576".
	Properties map[string]string
}

// Broker is one real Kafka broker, its own controller, on fixed ports and a fixed data directory: after Kill or Stop,
// Start brings the same broker back. Methods are for one goroutine at a time.
type Broker struct {
	dir     string
	nodes   []kafkaNode // the cluster; this broker is the first
	opts    KafkaOptions
	process *process
}

// kafkaNode is what the nodes of a cluster know of each other.
type kafkaNode struct{ id, port, controllerPort int }

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
func (b *Broker) Addr() string { return local(b.nodes[0].port) }

// LogDir is the directory of the broker's partitions.
func (b *Broker) LogDir() string { return filepath.Join(b.dir, "data") }

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
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "freshet-kafka-")
	if err != nil {
		return nil, fmt.Errorf("make the broker's directory: %w", err)
	}
	b := &Broker{dir: dir, nodes: []kafkaNode{{id: 1, port: ports[0], controllerPort: ports[1]}}, opts: opts}
	if err := b.format(ctx); err != nil {
		b.close()
		return nil, err
	}
	if err := b.start(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// close ends the broker and removes its data.
func (b *Broker) close() {
	b.process.kill()
	_ = os.RemoveAll(b.dir)
}

func (b *Broker) format(ctx context.Context) error {
	if err := os.WriteFile(b.propertiesFile(), []byte(b.propertiesText()), 0o600); err != nil {
		return fmt.Errorf("write the broker's settings: %w", err)
	}
	java, classPath, err := kafkaComponent.jars()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, java, "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", classPath, "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", b.propertiesFile())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("format the broker's data directory: %w\n%s", err, out)
	}
	return nil
}

func (b *Broker) start(ctx context.Context) error {
	java, classPath, err := kafkaComponent.jars()
	if err != nil {
		return err
	}
	cmd := exec.Command(java, "-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-cp", classPath, "kafka.Kafka", b.propertiesFile())
	cmd.Dir = b.dir
	p, err := launch(cmd, "kafka", b.dir)
	if err != nil {
		return err
	}
	b.process = p
	return ready(ctx, p, b.answers)
}

// answers reports whether the broker lists itself as alive. (A Ping is not enough: a broker answers it before its
// controller has let it in.)
func (b *Broker) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.DisableClientMetrics())
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(response.Brokers) < len(b.nodes) {
		return fmt.Errorf("%d of %d brokers are registered", len(response.Brokers), len(b.nodes))
	}
	return nil
}

func (b *Broker) propertiesFile() string { return filepath.Join(b.dir, "server.properties") }

// propertiesText is kafka.properties with this node's place and the caller's own settings; of a setting that is named
// twice, the last counts.
func (b *Broker) propertiesText() string {
	return kafkaProperties + propertyLines(b.place()) + propertyLines(b.opts.Properties)
}

// place holds the settings that say where this node is and who its peers are.
func (b *Broker) place() map[string]string {
	self := b.nodes[0]
	var voters []string
	for _, n := range b.nodes {
		voters = append(voters, fmt.Sprintf("%d@%s", n.id, local(n.controllerPort)))
	}
	listeners := fmt.Sprintf("PLAINTEXT://%s,CONTROLLER://%s", local(self.port), local(self.controllerPort))
	return map[string]string{
		"process.roles":                  "broker,controller",
		"node.id":                        fmt.Sprint(self.id),
		"controller.quorum.voters":       strings.Join(voters, ","),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"listeners":                      listeners,
		"advertised.listeners":           "PLAINTEXT://" + local(self.port),
		"log.dirs":                       b.LogDir(),
	}
}
