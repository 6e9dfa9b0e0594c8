package flow

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// testRegistry holds small stand-ins with the names and types of the real operators, providers, sources and sinks.
func testRegistry() *Registry {
	return &Registry{
		Operators: map[string]stream.OperatorSpec{"parse.markdown": parseSpec(), "split.markdown": splitSpec(), "embed": embedSpec(), "http": httpSpec()},
		Providers: map[string]stream.ProviderSpec{"hash": hashSpec(), "openai": openaiSpec()},
		Sources:   map[string]stream.SourceSpec{"files": filesSpec(), "debezium": debeziumSpec()},
		Sinks:     map[string]stream.SinkSpec{"sqlite": sqliteSpec(), "postgres": postgresSpec()},
	}
}

type each func(v stream.Value) (stream.Value, error)

func (f each) Apply(_ context.Context, inputs []stream.Value) ([]stream.Value, error) {
	out := make([]stream.Value, len(inputs))
	for i, v := range inputs {
		var err error
		if out[i], err = f(v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func pair(key string, v stream.Value) stream.Entry { return stream.Entry{Key: key, Value: v} }

var (
	spanType    = stream.MapType(stream.Field{Name: "end", Type: stream.TypeInt}, stream.Field{Name: "start", Type: stream.TypeInt})
	sectionType = stream.MapType(stream.Field{Name: "text", Type: stream.TypeString}, stream.Field{Name: "title", Type: stream.TypeString})
	chunkType   = stream.MapType(stream.Field{Name: "id", Type: stream.TypeString}, stream.Field{Name: "index", Type: stream.TypeInt},
		stream.Field{Name: "span", Type: spanType}, stream.Field{Name: "text", Type: stream.TypeString})
	parsedType = stream.MapType(stream.Field{Name: "meta", Type: stream.MapType()}, stream.Field{Name: "sections", Type: stream.ListType(sectionType)},
		stream.Field{Name: "text", Type: stream.TypeString}, stream.Field{Name: "title", Type: stream.TypeString})
)

func parseSpec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name: "parse.markdown", Version: 1, Doc: "Reads Markdown.",
		Output: func(in stream.Type, _ stream.Settings) (stream.Type, error) {
			if in.Kind != stream.String && in.Kind != stream.Dynamic {
				return stream.Type{}, fmt.Errorf("parse.markdown reads a string, not %s", in)
			}
			return parsedType, nil
		},
		New: func(stream.Settings) (stream.Operator, error) { return each(parsePage), nil },
	}
}

// httpSpec gives whatever it is declared to return.
func httpSpec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name: "http", Version: 1, Doc: "Asks a service.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true, Doc: "Where it is."},
			{Name: "returns", Kind: stream.SettingType, Required: true, Output: true, Doc: "What it returns."},
			{Name: "version", Kind: stream.SettingString, Required: true, Output: true, Doc: "Its version."},
			{Name: "settings", Kind: stream.SettingMap, Output: true, Doc: "What it is told."},
			{Name: "headers", Kind: stream.SettingSecrets, Doc: "Headers to send."},
		},
		Costly: true,
		Output: func(_ stream.Type, s stream.Settings) (stream.Type, error) { return s.Types["returns"], nil },
		New:    func(stream.Settings) (stream.Operator, error) { return each(nil), nil },
	}
}

// parsePage reads "key: value" lines up to a line "---", then sections that start with "# ".
func parsePage(v stream.Value) (stream.Value, error) {
	head, text, found := strings.Cut(v.Str(), "---\n")
	if !found {
		head, text = "", v.Str()
	}
	var meta []stream.Entry
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if value == "true" {
			meta = append(meta, pair(key, stream.BoolOf(true)))
		} else {
			meta = append(meta, pair(key, stream.StringOf(value)))
		}
	}
	var sections []stream.Value
	title := ""
	for i, part := range strings.Split("\n"+text, "\n# ") {
		heading, body, _ := strings.Cut(part, "\n")
		if i == 1 {
			title = heading
		}
		if i > 0 {
			sections = append(sections, stream.MapOf(pair("title", stream.StringOf(heading)), pair("text", stream.StringOf(body))))
		}
	}
	return stream.MapOf(pair("meta", stream.MapOf(meta...)), pair("sections", stream.ListOf(sections...)),
		pair("text", stream.StringOf(text)), pair("title", stream.StringOf(title))), nil
}

func splitSpec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name: "split.markdown", Version: 3, Doc: "Splits text into chunks.",
		Settings: []stream.Setting{
			{Name: "max_tokens", Kind: stream.SettingInt, Default: stream.IntOf(256), Min: 1, Max: 8192, Output: true, Doc: "Tokens in a chunk, at most."},
			{Name: "overlap", Kind: stream.SettingInt, Default: stream.IntOf(0), Min: 0, Max: 4096, Output: true, Doc: "Tokens shared by neighbours."},
			{Name: "encoding", Kind: stream.SettingString, Default: stream.StringOf("cl100k_base"), Enum: []string{"cl100k_base", "o200k_base"}, Output: true},
		},
		Output: func(in stream.Type, _ stream.Settings) (stream.Type, error) {
			if in.Kind != stream.String && in.Kind != stream.Map && in.Kind != stream.Dynamic {
				return stream.Type{}, fmt.Errorf("split.markdown reads a string or a parsed page, not %s", in)
			}
			return stream.ListType(chunkType), nil
		},
		New: func(stream.Settings) (stream.Operator, error) { return each(splitPage), nil },
	}
}

// splitPage makes a chunk of every paragraph.
func splitPage(v stream.Value) (stream.Value, error) {
	text := v.Str()
	if v.Kind() == stream.Map {
		text = v.Field("text").Str()
	}
	var chunks []stream.Value
	seen := map[string]int{}
	for _, p := range strings.Split(text, "\n\n") {
		if strings.TrimSpace(p) == "" {
			continue
		}
		start := strings.Index(text, p)
		seen[p]++
		span := stream.MapOf(pair("start", stream.IntOf(int64(start))), pair("end", stream.IntOf(int64(start+len(p)))))
		chunks = append(chunks, stream.MapOf(pair("text", stream.StringOf(p)), pair("index", stream.IntOf(int64(len(chunks)))),
			pair("id", stream.StringOf(fmt.Sprintf("%s-%d", stream.FingerprintOf(stream.StringOf(p)).String()[:8], seen[p]))), pair("span", span)))
	}
	return stream.ListOf(chunks...), nil
}

func embedSpec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name: "embed", Version: 1, Costly: true, Doc: "Embeds text.",
		Settings: []stream.Setting{{Name: "model", Kind: stream.SettingModel, Required: true, Output: true, Doc: "Name of a model."}},
		Output: func(in stream.Type, s stream.Settings) (stream.Type, error) {
			if in.Kind != stream.String && in.Kind != stream.Dynamic {
				return stream.Type{}, fmt.Errorf("embed reads a string, not %s", in)
			}
			dims, err := s.Model.Provider.Dimensions(s.Model.Settings)
			return stream.VectorType(stream.F32, dims), err
		},
		New: func(s stream.Settings) (stream.Operator, error) { return s.Model.Provider.New(s.Model.Settings) },
	}
}

func hashSpec() stream.ProviderSpec {
	return stream.ProviderSpec{
		Name: "hash", Doc: "Hashes words.",
		Dimensions: func(stream.Settings) (int, error) { return 4, nil },
		New:        func(stream.Settings) (stream.Operator, error) { return each(hashText), nil },
	}
}

func hashText(v stream.Value) (stream.Value, error) {
	f := stream.FingerprintOf(v)
	return stream.VectorOf([]float32{float32(f[0]), float32(f[1]), float32(f[2]), float32(f[3])}), nil
}

func openaiSpec() stream.ProviderSpec {
	return stream.ProviderSpec{
		Name: "openai", Doc: "Any server that speaks OpenAI's protocol.",
		Settings: []stream.Setting{
			{Name: "base_url", Kind: stream.SettingURL, Default: stream.StringOf("https://api.openai.com/v1")},
			{Name: "api_key", Kind: stream.SettingSecret},
			{Name: "model", Kind: stream.SettingString, Required: true, Output: true},
			{Name: "dimensions", Kind: stream.SettingInt, Required: true, Output: true, Min: 1, Max: 65536},
			{Name: "batch", Kind: stream.SettingInt, Default: stream.IntOf(64), Min: 1, Max: 2048},
			{Name: "timeout", Kind: stream.SettingDuration, Default: stream.IntOf(30e9)},
		},
		Dimensions: func(s stream.Settings) (int, error) { return s.Int("dimensions"), nil },
		New:        func(stream.Settings) (stream.Operator, error) { return each(hashText), nil },
	}
}

func filesSpec() stream.SourceSpec {
	return stream.SourceSpec{
		Name: "files", Doc: "Files of a directory.",
		Settings: []stream.Setting{
			{Name: "root", Kind: stream.SettingString, Required: true, Doc: "The directory."},
			{Name: "include", Kind: stream.SettingStrings, Default: stream.ListOf(stream.StringOf("**/*"))},
		},
		Type: func(_ stream.Settings, declared []stream.Field) (stream.Type, error) {
			if declared != nil {
				return stream.Type{}, fmt.Errorf("the fields of files are fixed; remove `fields`")
			}
			return stream.MapType(stream.Field{Name: "content", Type: stream.TypeString.OrNull()},
				stream.Field{Name: "ext", Type: stream.TypeString}, stream.Field{Name: "path", Type: stream.TypeString},
				stream.Field{Name: "size", Type: stream.TypeInt}), nil
		},
		Topic: func(flow, source string, _ stream.Settings) string { return flow + "." + source },
	}
}

func debeziumSpec() stream.SourceSpec {
	return stream.SourceSpec{
		Name: "debezium", Doc: "A Debezium topic.", Keyed: true,
		Settings: []stream.Setting{{Name: "topic", Kind: stream.SettingString, Required: true}},
		Type: func(_ stream.Settings, declared []stream.Field) (stream.Type, error) {
			return stream.MapType(declared...), nil
		},
		Topic: func(_, _ string, s stream.Settings) string { return s.String("topic") },
	}
}

func sqliteSpec() stream.SinkSpec {
	return stream.SinkSpec{Name: "sqlite", Doc: "An SQLite file.", Guarantees: stream.Guarantees{Transactional: true, AtomicDocuments: true, Vectors: true, Deletes: true, Fronts: true},
		Settings: []stream.Setting{{Name: "path", Kind: stream.SettingString, Required: true}}}
}

func postgresSpec() stream.SinkSpec {
	return stream.SinkSpec{Name: "postgres", Doc: "A Postgres schema.", Guarantees: stream.Guarantees{Transactional: true, AtomicDocuments: true, Vectors: true, Deletes: true, Fronts: true},
		Settings: []stream.Setting{{Name: "url", Kind: stream.SettingURL, Required: true},
			{Name: "schema", Kind: stream.SettingString, Default: stream.StringOf("public")}},
		TableSettings: []stream.Setting{{Name: "table", Kind: stream.SettingString}}}
}

// counted calls operators directly and counts: calls and inputs by node.
type counted struct {
	mu       sync.Mutex
	calls    map[string]int
	inputs   map[string]int
	computed map[string]int
	fail     map[string]error
}

func newCounted() *counted {
	return &counted{calls: map[string]int{}, inputs: map[string]int{}, computed: map[string]int{}, fail: map[string]error{}}
}

func (c *counted) Call(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	c.mu.Lock()
	c.calls[n.Name]++
	c.inputs[n.Name] += len(inputs)
	err := c.fail[n.Name]
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return n.Operator.Apply(ctx, inputs)
}

func (c *counted) Computed(node string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.computed[node] += n
}

func page(path, content string) stream.Document {
	return stream.Document{ID: "page/" + path, Source: "page", Input: stream.MapOf(pair("path", stream.StringOf(path)),
		pair("content", stream.StringOf(content)), pair("ext", stream.StringOf("md")), pair("size", stream.IntOf(int64(len(content)))))}
}
