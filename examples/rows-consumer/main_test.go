package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

const schemas = "../../schemas"

// golden is the recorded row of the format's own tests.
func golden(t *testing.T) *kgo.Record {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(schemas, "testdata/golden", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	r := &kgo.Record{Topic: "handbook.rows", Key: read("row.key"), Value: read("row.avro")}
	for _, line := range strings.Split(strings.TrimSpace(string(read("row.headers"))), "\n") {
		name, value, _ := strings.Cut(line, ": ")
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return r
}

// TestFollow reads a row, a mark and a delete from a broker, as a stranger would.
func TestFollow(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "handbook.rows"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	produce(ctx, t, cluster.ListenAddrs())

	var out bytes.Buffer
	if err := run(ctx, cluster.ListenAddrs(), "handbook.rows", schemas+"/row.avsc", 2, &out); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/rows.golden")
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func produce(ctx context.Context, t *testing.T, brokers []string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	deleted := golden(t)
	deleted.Value = nil
	mark := &kgo.Record{Topic: "handbook.rows", Key: []byte("\x00generation-pass"), Value: []byte("1")}
	if err := client.ProduceSync(ctx, golden(t), mark, deleted).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
