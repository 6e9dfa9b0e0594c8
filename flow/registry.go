package flow

import (
	"log/slog"
	"maps"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// Registry holds what flow files may name, by name. `expr` needs no entry: it is part of the language.
type Registry struct {
	Operators map[string]stream.OperatorSpec
	Providers map[string]stream.ProviderSpec
	Sources   map[string]stream.SourceSpec
	Sinks     map[string]stream.SinkSpec
	Kafka     KafkaSpec
	Log       *slog.Logger // what operators log to; nil: nothing
}

// KafkaSpec declares how brokers are reached.
type KafkaSpec struct {
	Settings []stream.Setting
	Check    func(stream.Settings) error // refuses settings that don't go together; reads nothing
}

// expr is the operator whose result is its input formula.
const expr = "expr"

// Names that the language has room for, and this version doesn't have: they get "isn't built yet", not "unknown".
var (
	laterOperators = words("split.code", "split.text", "embed.sparse", "embed.multi")
	laterSinks     = words("qdrant", "neo4j", "feast", "lancedb", "snowflake", "opensearch", "redis", "kafka", "postgres", "sqlite")
	laterSources   = words("debezium", "kafka", "files")
)

// Keys that later versions bring, by what they belong to, with what is missing.
var (
	laterFlowKeys = map[string]string{
		"intake":  "the intake has no settings yet: it runs where a flow has several sources, or an `id`",
		"rollout": "rolling tables out side by side isn't built yet",
		"limits":  "limits aren't built yet",
	}
	laterKafkaKeys = map[string]string{
		"registry": "a schema registry isn't built yet",
		"client":   "client settings aren't built yet",
		"replicas": "the replication factor is the broker's own for now",
	}
	laterSourceKeys = map[string]string{
		"child_of": "child records aren't built yet",
		"parent":   "child records aren't built yet",
		"order":    "child records aren't built yet",
	}
	laterSourceSettings = map[string]string{
		"payload":  "payloads by reference aren't built yet",
		"registry": "Avro and a schema registry aren't built yet",
		"format":   "formats besides JSON aren't built yet",
		"topics":   "a source of several topics isn't built yet; declare a source for each",
	}
	laterNodeKeys = map[string]string{
		"rate":    "rate limits of nodes aren't built yet; a model has a `rate`",
		"retries": "attempt budgets of nodes aren't built yet; the flow has `retry: {attempts: N}`",
	}
	laterTargetKeys = map[string]string{
		"rollout": "a table rolls out in all its targets; say it at the table",
	}
)

func words(w ...string) map[string]bool {
	set := make(map[string]bool, len(w))
	for _, x := range w {
		set[x] = true
	}
	return set
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
