package cli

import (
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/operators/embed"
	"github.com/freshet-dev/freshet/operators/exec"
	"github.com/freshet-dev/freshet/operators/extract"
	"github.com/freshet-dev/freshet/operators/normalize"
	"github.com/freshet-dev/freshet/operators/parse"
	"github.com/freshet-dev/freshet/operators/remote"
	"github.com/freshet-dev/freshet/operators/split"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/sinks/feast"
	"github.com/freshet-dev/freshet/sinks/lancedb"
	"github.com/freshet-dev/freshet/sinks/neo4j"
	"github.com/freshet-dev/freshet/sinks/opensearch"
	"github.com/freshet-dev/freshet/sinks/postgres"
	"github.com/freshet-dev/freshet/sinks/qdrant"
	"github.com/freshet-dev/freshet/sinks/redis"
	"github.com/freshet-dev/freshet/sinks/snowflake"
	"github.com/freshet-dev/freshet/sinks/sqlite"
	"github.com/freshet-dev/freshet/sinks/topic"
	"github.com/freshet-dev/freshet/sinks/webhook"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/access"
)

// registry is all that a flow file can name, before a program adds to it.
func registry() *flow.Registry {
	return &flow.Registry{
		Operators: map[string]stream.OperatorSpec{
			"parse.markdown": parse.Markdown(),
			"parse.text":     parse.Text(),
			"split.markdown": split.Markdown(),
			"split.text":     split.Text(),
			"normalize.text": normalize.Text(),
			"embed":          embed.Spec(),
			"extract":        extract.Spec(),
			"exec":           exec.Spec(),
			"http":           remote.Spec(),
		},
		Providers: map[string]stream.ProviderSpec{
			"openai":      embed.OpenAI(),
			"openai.chat": extract.OpenAI(),
			"hash":        embed.Hash(),
		},
		Sources: map[string]stream.SourceSpec{
			"files":    schemas.FilesSpec(),
			"debezium": schemas.DebeziumSpec(),
		},
		Sinks: map[string]stream.SinkSpec{
			"sqlite":     sqlite.Spec(),
			"postgres":   postgres.Spec(),
			"qdrant":     qdrant.Spec(),
			"redis":      redis.Spec(),
			"neo4j":      neo4j.Spec(),
			"opensearch": opensearch.Spec(),
			"lancedb":    lancedb.Spec(),
			"feast":      feast.Spec(),
			"snowflake":  snowflake.Spec(),
			"topic":      topic.Spec(),
			"webhook":    webhook.Spec(),
		},
		Kafka: flow.KafkaSpec{Settings: access.Settings(), Check: access.Check},
	}
}

// decoder returns the decoder of a flow's source, and the salt that tells its decoding from another one.
func decoder(s flow.Source) (stream.Decoder, stream.Fingerprint) {
	salt := stream.ListOf(stream.StringOf(s.Kind), stream.StringOf(stream.MapType(s.Fields...).String()), s.Settings.Values)
	if s.Kind == "files" {
		return schemas.NewFiles(s.Name), stream.FingerprintOf(salt)
	}
	dec := schemas.NewDebezium(s.Name, s.Fields, s.Settings)
	if s.ID != nil {
		dec = dec.Named(s.ID)
	}
	return dec, stream.FingerprintOf(salt)
}
