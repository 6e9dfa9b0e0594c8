package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// format writes the settings of the roles, broker and controller, and makes their data directories.
func (b *Broker) format(ctx context.Context, roles ...string) error {
	java, classPath, err := kafkaComponent.jars()
	if err == nil {
		err = b.makeKeystore()
	}
	if err != nil {
		return err
	}
	places := map[string]map[string]string{"controller": b.controllerPlace(), "broker": b.brokerPlace()}
	both, ctx := errgroup.WithContext(ctx)
	for _, role := range roles {
		place := places[role]
		both.Go(func() error {
			// Of a setting that is named twice, Kafka takes the last.
			text := kafkaProperties + propertyLines(place) + propertyLines(b.opts.Properties)
			if err := os.WriteFile(b.propertiesFile(role), []byte(text), 0o600); err != nil {
				return fmt.Errorf("write the settings of Kafka's %s: %w", role, err)
			}
			cmd := exec.CommandContext(ctx, java, jvm("128m", classPath, "kafka.tools.StorageTool", "format", "-t", clusterID, "-c", b.propertiesFile(role))...)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("format the data directory of Kafka's %s: %w\n%s", role, err, out)
			}
			return nil
		})
	}
	return both.Wait()
}

// start starts the controller unless it runs, waits until it has fenced the broker's last incarnation, and starts the
// broker.
func (b *Broker) start(ctx context.Context) (err error) {
	if b.controller == nil {
		if b.controller, err = b.launch("controller"); err != nil {
			return err
		}
	}
	if b.process != nil {
		if err := ready(ctx, b.controller, b.isFenced); err != nil {
			return err
		}
	}
	if b.process, err = b.launch("broker"); err != nil {
		return err
	}
	return ready(ctx, b.process, b.answers)
}

// launch starts one of the two processes.
func (b *Broker) launch(role string) (*process, error) {
	java, classPath, err := kafkaComponent.jars()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(java, jvm("512m", classPath, "kafka.Kafka", b.propertiesFile(role))...)
	cmd.Dir = b.dir
	return launch(cmd, role, b.dir)
}

// answers reports whether the broker lists itself as alive. (That it takes connections is not enough: it does so
// before its controller has let it in.)
func (b *Broker) answers(ctx context.Context) error {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{}
	response, err := ask(ctx, b.Addr(), request)
	if err != nil {
		return err
	}
	for _, broker := range response.(*kmsg.MetadataResponse).Brokers {
		if int(broker.NodeID) == b.node.id {
			return nil
		}
	}
	return fmt.Errorf("broker %d is not registered yet", b.node.id)
}

// isFenced asks the controller whether it has given up the broker's last incarnation.
func (b *Broker) isFenced(ctx context.Context) error {
	request := kmsg.NewPtrDescribeClusterRequest()
	request.EndpointType = 2 // what the controllers know
	request.IncludeFencedBrokers = true
	response, err := ask(ctx, local(b.node.controllerPort), request)
	if err != nil {
		return err
	}
	for _, broker := range response.(*kmsg.DescribeClusterResponse).Brokers {
		if int(broker.NodeID) == b.node.id && !broker.IsFenced {
			return fmt.Errorf("the controller takes broker %d for alive", b.node.id)
		}
	}
	return nil
}

// ask sends one request to the node at addr.
func ask(ctx context.Context, addr string, request kmsg.Request) (kmsg.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DisableClientMetrics())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.SeedBrokers()[0].Request(ctx, request)
}

func (b *Broker) propertiesFile(role string) string { return filepath.Join(b.dir, role+".properties") }

// brokerPlace holds the settings that say where the broker is.
func (b *Broker) brokerPlace() map[string]string {
	place := b.place(map[string]string{
		"process.roles":              "broker",
		"node.id":                    fmt.Sprint(b.node.id),
		"inter.broker.listener.name": "PLAINTEXT",
		"listeners":                  "PLAINTEXT://" + b.Addr(),
		"advertised.listeners":       "PLAINTEXT://" + b.Addr(),
		"log.dirs":                   b.LogDir(),
	})
	if b.opts.Cert != "" {
		b.secure(place)
	}
	return place
}

// secure adds a listener by TLS for users who sign in.
func (b *Broker) secure(place map[string]string) {
	const of, module = "listener.name.secured.", "org.apache.kafka.common.security."
	for _, name := range []string{"listeners", "advertised.listeners"} {
		place[name] += ",SECURED://" + b.SecuredAddr()
	}
	place["listener.security.protocol.map"] += ",SECURED:SASL_SSL"
	place[of+"sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
	place[of+"plain.sasl.jaas.config"] = module + `plain.PlainLoginModule required user_alice="alice-secret";`
	place[of+"scram-sha-256.sasl.jaas.config"] = module + "scram.ScramLoginModule required;"
	place[of+"scram-sha-512.sasl.jaas.config"] = module + "scram.ScramLoginModule required;"
	place[of+"ssl.keystore.type"], place[of+"ssl.keystore.location"] = "PEM", b.keystore()
}

// keystore is the file that holds the broker's certificate and key.
func (b *Broker) keystore() string { return filepath.Join(b.dir, "keystore.pem") }

// makeKeystore joins certificate and key, where there are any.
func (b *Broker) makeKeystore() error {
	if b.opts.Cert == "" {
		return nil
	}
	key, err := os.ReadFile(b.opts.Key)
	if err != nil {
		return err
	}
	cert, err := os.ReadFile(b.opts.Cert)
	if err != nil {
		return err
	}
	return os.WriteFile(b.keystore(), slices.Concat(key, cert), 0o600)
}

// controllerPlace holds the settings that say where the controller is.
func (b *Broker) controllerPlace() map[string]string {
	return b.place(map[string]string{
		"process.roles": "controller",
		"node.id":       fmt.Sprint(b.node.controllerID),
		"listeners":     "CONTROLLER://" + local(b.node.controllerPort),
		"log.dirs":      filepath.Join(b.dir, "metadata"),
	})
}

// place adds what both have in common.
func (b *Broker) place(settings map[string]string) map[string]string {
	settings["controller.quorum.voters"] = fmt.Sprintf("%d@%s", b.node.controllerID, local(b.node.controllerPort))
	settings["controller.listener.names"] = "CONTROLLER"
	settings["listener.security.protocol.map"] = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"
	return settings
}
