package schemas

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// DebeziumSpec declares the source "debezium": a topic that a Debezium connector writes for one table, as JSON.
func DebeziumSpec() stream.SourceSpec {
	return stream.SourceSpec{
		Name: "debezium",
		Doc: "Changes of one table, as a Debezium connector writes them in JSON, with or without schemas. " +
			"A document is a row, named by its primary key; `fields` declares the columns' types.",
		Settings: []stream.Setting{
			{Name: "topic", Kind: stream.SettingString, Required: true,
				Doc: "The topic that the connector writes the table's changes to."},
			{Name: "unavailable", Kind: stream.SettingString, Default: stream.StringOf(defaultPlaceholder), Output: true,
				Doc: "The connector's unavailable.value.placeholder: columns with this value keep what is stored."},
			{Name: "decimals", Kind: stream.SettingString, Default: stream.StringOf("auto"), Output: true,
				Enum: []string{"auto", "precise", "string"},
				Doc: "How the text of a declared decimal reads when records come without schemas: as the connector's " +
					"decimal.handling.mode says, or auto, which refuses a text that could be either."},
		},
		Type:  debeziumType,
		Keyed: true,
		Topic: func(_, _ string, s stream.Settings) string { return s.String("topic") },
	}
}

func debeziumType(s stream.Settings, declared []stream.Field) (stream.Type, error) {
	if p := s.String("unavailable"); p != "" && !plainText(p) {
		return stream.Type{}, errors.New("setting unavailable: only printable ASCII without quotes and backslashes, and no hex: form, is supported")
	}
	for _, f := range declared {
		if err := declarable(f.Type); err != nil {
			return stream.Type{}, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	if declared == nil {
		return stream.MapType(), nil
	}
	fields := append([]stream.Field{}, declared...)
	sort.Slice(fields, func(i, j int) bool { return fields[i].Name < fields[j].Name })
	return stream.MapType(fields...), nil
}

func plainText(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return false
		}
	}
	return !strings.HasPrefix(s, "hex:")
}

func declarable(t stream.Type) error {
	switch t.Kind {
	case stream.List:
		return declarable(*t.Elem)
	case stream.Map:
		if t.Fields != nil || t.Elem != nil {
			return fmt.Errorf("a column can't be declared %s; declare it map", t)
		}
		return nil
	case stream.Bool, stream.Int, stream.Double, stream.Decimal, stream.String, stream.Bytes, stream.Timestamp, stream.Dynamic:
		return nil
	}
	return fmt.Errorf("a column can't be declared %s", t)
}
