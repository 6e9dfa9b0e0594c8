package flow

import (
	"encoding/json"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// schema is the part of JSON Schema (draft 2020-12) that flow files need. The zero schema allows everything.
type schema struct {
	Schema        string              `json:"$schema,omitempty"`
	ID            string              `json:"$id,omitempty"`
	Title         string              `json:"title,omitempty"`
	Description   string              `json:"description,omitempty"`
	Type          any                 `json:"type,omitempty"` // a name or several
	Const         string              `json:"const,omitempty"`
	Enum          []string            `json:"enum,omitempty"`
	Pattern       string              `json:"pattern,omitempty"`
	Minimum       *int64              `json:"minimum,omitempty"`
	Maximum       *int64              `json:"maximum,omitempty"`
	Default       json.RawMessage     `json:"default,omitempty"`
	Items         *schema             `json:"items,omitempty"`
	MinItems      int                 `json:"minItems,omitempty"`
	MaxItems      int                 `json:"maxItems,omitempty"`
	Unique        bool                `json:"uniqueItems,omitempty"`
	Properties    map[string]*schema  `json:"properties,omitempty"`
	Names         *schema             `json:"propertyNames,omitempty"`
	Additional    *schema             `json:"additionalProperties,omitempty"`
	Required      []string            `json:"required,omitempty"`
	DependentReq  map[string][]string `json:"dependentRequired,omitempty"`
	MinProperties int                 `json:"minProperties,omitempty"`
	MaxProperties int                 `json:"maxProperties,omitempty"`
	OneOf         []*schema           `json:"oneOf,omitempty"`
	never         bool
}

// MarshalJSON implements json.Marshaler: a schema that allows nothing is `false`.
func (s *schema) MarshalJSON() ([]byte, error) {
	if s.never {
		return []byte("false"), nil
	}
	type plain schema
	return json.Marshal((*plain)(s))
}

const schemaID = "https://freshet.dev/schemas/flow.schema.json"

// Schema generates the JSON Schema of flow files from a registry's declarations, for editors. What it accepts may still
// have faults that only Parse finds; what it refuses, Parse refuses too.
func Schema(r *Registry) []byte {
	root := object(map[string]*schema{
		"flow":  {Type: "string", Pattern: topicPart.String(), Description: "Name of the flow and prefix of its topics."},
		"kafka": kafkaSchema(r),
		"standbys": {Type: "integer", Minimum: new(int64), Maximum: most(maxStandbys),
			Description: "Replicas that keep a warm copy of each partition's state beside its owner."},
		"state":   stateSchema(),
		"retry":   retrySchema(),
		"sources": named("Where documents come from.", &schema{Pattern: identifier.String()}, sourceSchema(r)),
		"models":  named("Models that nodes use.", nil, modelSchema(r)),
		"nodes":   named("Steps: each an operator with its input formula.", &schema{Pattern: identifier.String()}, nodeSchema(r)),
		"tables":  named("Tables of rows that documents make.", &schema{Pattern: columnName.String()}, tableSchema()),
		"targets": named("Places that are kept in step with tables.", &schema{Pattern: topicPart.String()}, targetSchema(r)),
	}, "flow", "sources", "tables")
	root.Properties["sources"].MinProperties = 1
	root.Properties["sources"].MaxProperties = maxSources
	root.Schema, root.ID, root.Title = "https://json-schema.org/draft/2020-12/schema", schemaID, "Freshet flow"
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic(err) // the structure above holds nothing that JSON can't hold
	}
	return append(out, '\n')
}

func retrySchema() *schema {
	one := int64(1)
	s := object(map[string]*schema{"attempts": {Type: "integer", Minimum: &one, Maximum: most(maxAttempts), Default: json.RawMessage("10"),
		Description: "Rounds of attempts that may fail, while inputs of other documents succeed, before a document is quarantined."}})
	s.Description = "What becomes of documents whose evaluation keeps failing."
	return s
}

func most(n int64) *int64 { return &n }

func object(properties map[string]*schema, required ...string) *schema {
	return &schema{Type: "object", Properties: properties, Required: required, Additional: &schema{never: true}}
}

// named is a mapping from free names to values.
func named(doc string, names, value *schema) *schema {
	return &schema{Type: "object", Description: doc, Names: names, Additional: value}
}

func formulaSchema(doc string) *schema {
	return &schema{Type: []string{"string", "boolean", "number"}, Description: doc}
}

func kafkaSchema(r *Registry) *schema {
	low, high := int64(1), int64(1024)
	s := settingsSchema("Kafka's brokers, and how they are reached.", r.Kafka.Settings)
	s.with("brokers", &schema{Type: "array", Items: &schema{Type: "string"}, Description: "host:port of brokers to start from."}, false)
	s.with("partitions", &schema{Type: "integer", Minimum: &low, Maximum: &high, Description: "Partitions of the flow's own topics."}, false)
	return s
}

func stateSchema() *schema {
	retention := func(description string) *schema {
		return &schema{Type: "string", Pattern: durationPattern + "|^" + forEver + "$", Default: json.RawMessage(`"168h"`), Description: description}
	}
	s := object(map[string]*schema{
		"memo_retention": retention("How long a result stays that no document uses: a duration of a minute or more, or forever."),
		"rollback_retention": retention("How long after its promotion the edition before it stays, of a table that rolls out: a duration of a second or more, " +
			"or forever."),
	})
	s.Description = "How long the state keeps what is not used."
	return s
}

func sourceSchema(r *Registry) *schema {
	union := &schema{}
	for _, kind := range sortedKeys(r.Sources) {
		spec := r.Sources[kind]
		branch := object(map[string]*schema{
			kind:     settingsSchema(spec.Doc, spec.Settings),
			"fields": named("Types of the fields.", nil, &schema{Type: "string", Description: typeRule}),
			"where":  formulaSchema("Documents that don't match are deleted."),
		}, kind)
		if spec.Keyed {
			branch.with("id", formulaSchema("Names a document within the source, from record.key alone; without it, the key's text does."), false)
		}
		union.OneOf = append(union.OneOf, branch)
	}
	return union
}

func modelSchema(r *Registry) *schema {
	union := &schema{}
	for _, kind := range sortedKeys(r.Providers) {
		spec := r.Providers[kind]
		branch := settingsSchema(spec.Doc, modelSettings(spec))
		branch.with("provider", &schema{Const: kind}, true)
		union.OneOf = append(union.OneOf, branch)
	}
	return union
}

func nodeSchema(r *Registry) *schema {
	union := &schema{}
	for _, op := range append(sortedKeys(r.Operators), expr) {
		if op == expr && r.Operators[op].Name == "" {
			union.OneOf = append(union.OneOf, operatorSchema(expr, "The result is the input formula's.", nil))
			continue
		}
		union.OneOf = append(union.OneOf, operatorSchema(op, r.Operators[op].Doc, r.Operators[op].Settings))
	}
	return union
}

func operatorSchema(op, doc string, settings []stream.Setting) *schema {
	s := settingsSchema(doc, settings)
	s.with("op", &schema{Const: op}, true)
	branches := named("The input by source: each document's is that of its own source.", &schema{Pattern: identifier.String()},
		&schema{Type: []string{"string", "boolean", "number", "null"}, Description: "null: the node isn't run for documents of the source."})
	branches.MinProperties = 1
	s.with("in", formulaSchema("The input."), false)
	s.with("in_by_source", branches, false)
	s.OneOf = []*schema{{Required: []string{"in"}}, {Required: []string{"in_by_source"}}}
	s.with("when", formulaSchema("False or null: the node isn't run and gives null."), false)
	s.with("each", &schema{Type: "string", Pattern: identifier.String(), Description: "Names one element of the result, a list."}, false)
	return s
}

func tableSchema() *schema {
	columns := named("The columns, each a formula.", &schema{Pattern: columnName.String()}, formulaSchema(""))
	columns.MinProperties = 1
	s := object(map[string]*schema{
		"for":     {Type: "string", Description: "Element that makes one row; without it a document makes one row."},
		"where":   formulaSchema("Rows that don't match are deleted."),
		"key":     formulaSchema("Unique within the document; a string or an int."),
		"columns": columns,
		"shared": named("Rows of several documents with one key are one: how each column is merged, `first` when it is not named.",
			&schema{Pattern: columnName.String()}, &schema{Enum: mergeRules}),
		"rollout": {Enum: []string{blueGreen}, Description: "A change of the table's logic builds it anew beside what targets show, until `freshet promote` shows it."},
	}, "columns")
	s.DependentReq = map[string][]string{"for": {"key"}, "key": {"for"}}
	return s
}

func targetSchema(r *Registry) *schema {
	union := &schema{}
	for _, kind := range sortedKeys(r.Sinks) {
		spec := r.Sinks[kind]
		each := settingsSchema("", spec.TableSettings)
		each.with("where", formulaSchema("Rows of the table that this target keeps; its names are the columns."), false)
		tables := &schema{OneOf: []*schema{
			{Type: "array", Items: &schema{Type: "string"}, MinItems: 1, Unique: true},
			{Type: "object", Additional: each, MinProperties: 1},
		}}
		branch := object(map[string]*schema{kind: settingsSchema(spec.Doc, spec.Settings), "tables": tables}, kind, "tables")
		union.OneOf = append(union.OneOf, branch)
	}
	return union
}

// with adds a property.
func (s *schema) with(name string, value *schema, required bool) {
	s.Properties[name] = value
	if required {
		s.Required = append(s.Required, name)
		slices.Sort(s.Required)
	}
}
