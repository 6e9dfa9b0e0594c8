// Rows-consumer follows a flow's rows topic without any of Freshet's code: franz-go reads it, goavro decodes it by
// schemas/row.avsc. It prints one JSON object for each row written or deleted. docs/formats/rows.md describes the format.
//
//	go run ./examples/rows-consumer -brokers localhost:9092 -topic handbook.rows
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	brokers := flag.String("brokers", "localhost:9092", "addresses of Kafka brokers, separated by commas")
	topic := flag.String("topic", "handbook.rows", "the flow's rows topic")
	schema := flag.String("schema", "schemas/row.avsc", "file of the Avro schema")
	limit := flag.Int("n", 0, "stop after so many rows; 0: never")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, strings.Split(*brokers, ","), *topic, *schema, *limit, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "rows-consumer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, brokers []string, topic, schemaFile string, limit int, out io.Writer) error {
	schema, err := os.ReadFile(schemaFile)
	if err != nil {
		return err
	}
	codec, err := goavro.NewCodec(string(schema))
	if err != nil {
		return fmt.Errorf("%s: %w", schemaFile, err)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), // rows of aborted transactions never were
	)
	if err != nil {
		return err
	}
	defer client.Close()
	return follow(ctx, client, codec, limit, json.NewEncoder(out))
}

func follow(ctx context.Context, client *kgo.Client, codec *goavro.Codec, limit int, out *json.Encoder) error {
	for printed := 0; ; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			row, isRow, err := decode(codec, r)
			if err != nil {
				return fmt.Errorf("%s[%d]@%d: %w", r.Topic, r.Partition, r.Offset, err)
			}
			if !isRow {
				continue
			}
			if err := out.Encode(row); err != nil {
				return err
			}
			if printed++; printed == limit {
				return nil
			}
		}
	}
}
