package flow

import (
	"encoding/json"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// settingsSchema is a mapping of declared settings.
func settingsSchema(doc string, specs []stream.Setting) *schema {
	s := object(map[string]*schema{})
	s.Description = doc
	for i := range specs {
		s.with(specs[i].Name, settingSchema(&specs[i]), specs[i].Required)
	}
	return s
}

// durationPattern tells durations but 0 from what is none, by their beginning.
const durationPattern = `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)`

func settingSchema(spec *stream.Setting) *schema {
	s := &schema{Type: "string", Description: spec.Doc, Enum: spec.Enum, Default: defaultJSON(spec)}
	switch spec.Kind {
	case stream.SettingInt:
		s.Type = "integer"
		if spec.Max > spec.Min {
			s.Minimum, s.Maximum = &spec.Min, &spec.Max
		}
	case stream.SettingDouble:
		s.Type = "number"
	case stream.SettingBool:
		s.Type = "boolean"
	case stream.SettingStrings:
		s.Type, s.Items = "array", &schema{Type: "string"}
	case stream.SettingDuration:
		s.Pattern = durationPattern + "|^0$"
	case stream.SettingSecret:
		s.Pattern = "^(env|file):"
	case stream.SettingType:
		s.Type, s.MinItems, s.MaxItems, s.MinProperties = []string{"string", "array", "object"}, 1, 1, 1
	case stream.SettingMap:
		s.Type = "object"
	case stream.SettingSecrets:
		s.Type, s.Additional = "object", &schema{Type: "string", Pattern: "^(env|file):"}
	}
	return s
}

func defaultJSON(spec *stream.Setting) json.RawMessage {
	var x any
	switch v := spec.Default; v.Kind() {
	case stream.Null:
		return nil
	case stream.Bool:
		x = v.Bool()
	case stream.Int:
		if x = v.Int(); spec.Kind == stream.SettingDuration {
			x = time.Duration(v.Int()).String()
		}
	case stream.Double:
		x = v.Double()
	case stream.List:
		x = stream.Settings{Values: stream.MapOf(stream.Entry{Key: "x", Value: v})}.Strings("x")
	default:
		x = v.Str()
	}
	out, err := json.Marshal(x)
	if err != nil {
		return nil
	}
	return out
}
