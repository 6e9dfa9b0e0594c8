package testenv

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// composeFile is the part of docker-compose.yml that the tests compare.
type composeFile struct {
	Services map[string]struct {
		Image       string
		Ports       []string
		Volumes     []string
		Environment map[string]string
		Command     []string
	}
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var compose composeFile
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	return compose
}

// fromEnv turns the images' variables into settings: KAFKA_NODE_ID is node.id.
func fromEnv(environment map[string]string, prefix string) map[string]string {
	settings := map[string]string{}
	for name, value := range environment {
		name = strings.TrimPrefix(name, prefix)
		settings[strings.ToLower(strings.ReplaceAll(name, "_", "."))] = value
	}
	return settings
}

// agree reports where both name a setting and differ.
func agree(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, value := range got {
		if expected, both := want[name]; both && value != expected {
			t.Errorf("docker-compose.yml has %s=%s, the tests use %s", name, value, expected)
		}
	}
}

func TestComposeKafka(t *testing.T) {
	for _, role := range []string{"controller", "kafka"} {
		t.Run(role, func(t *testing.T) { checkKafka(t, role) })
	}
}

func checkKafka(t *testing.T, role string) {
	kafka := readCompose(t).Services[role]
	if want := "apache/kafka:" + kafkaComponent.version; kafka.Image != want {
		t.Errorf("image %s, want %s", kafka.Image, want)
	}
	const mount = "./internal/testenv/kafka.properties:/mnt/shared/config/server.properties:ro"
	if len(kafka.Volumes) == 0 || kafka.Volumes[0] != mount {
		t.Errorf("the broker does not read the tests' settings: its volumes are %q, want first %q", kafka.Volumes, mount)
	}
	if kafka.Environment["CLUSTER_ID"] != clusterID {
		t.Errorf("CLUSTER_ID = %q, want %q", kafka.Environment["CLUSTER_ID"], clusterID)
	}
	agree(t, fromEnv(kafka.Environment, "KAFKA_"), parseProperties(kafkaProperties))
	for _, port := range kafka.Ports {
		if !strings.HasPrefix(port, "127.0.0.1:") {
			t.Errorf("port %s is published beyond this machine", port)
		}
	}
}

func TestComposeConnect(t *testing.T) {
	connect := readCompose(t).Services["connect"]
	if want := "quay.io/debezium/connect:" + debeziumComponent.version; connect.Image != want {
		t.Errorf("image %s, want %s", connect.Image, want)
	}
	got, want := fromEnv(connect.Environment, "CONNECT_"), parseProperties(connectProperties)
	agree(t, got, want)
	for name := range want {
		if _, named := got[name]; !named {
			t.Errorf("docker-compose.yml does not set %s", name)
		}
	}
}

func TestComposePostgres(t *testing.T) {
	postgres := readCompose(t).Services["postgres"]
	want := parseProperties(strings.Join(postgresSettings, "\n"))
	got := parseProperties(strings.Join(postgres.Command, "\n"))
	agree(t, got, want)
	if got["wal_level"] != "logical" {
		t.Errorf("wal_level = %q, want logical", got["wal_level"])
	}
}

func TestComposeConnector(t *testing.T) {
	text, err := os.ReadFile("../../deploy/compose/connector.json")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := DebeziumPostgres(&Database{Name: "freshet", Server: &PostgresServer{}}, "shop", 4)
	for _, place := range []string{"database.hostname", "database.port", "database.password", "database.dbname"} {
		delete(want, place)
	}
	for name, value := range want {
		if got[name] != value {
			t.Errorf("deploy/compose/connector.json has %s=%q, the tests use %q", name, got[name], value)
		}
	}
}
