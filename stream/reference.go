package stream

import (
	"fmt"
	"strings"
	"time"
)

// Takes says in words, for reference pages, what a flow file may give: the kind, its bounds, or the strings allowed.
func (s Setting) Takes() string {
	name := [...]string{"string", "int", "double", "bool", "duration", "list of strings", "secret (`env:NAME`, `file:PATH`)",
		"URL, or a reference to one", "model", "file", "type", "mapping", "mapping of a name to a secret"}[s.Kind]
	switch {
	case len(s.Enum) > 0:
		return "`" + strings.Join(s.Enum, "`, `") + "`"
	case s.Max > s.Min:
		return fmt.Sprintf("%s, %d to %d", name, s.Min, s.Max)
	}
	return name
}

// Absent says in words, for reference pages, what holds when a flow file does not give the setting.
func (s Setting) Absent() string {
	switch {
	case s.Required:
		return "required"
	case s.Default.IsNull():
		return "none"
	case s.Kind == SettingDuration:
		return "`" + time.Duration(s.Default.Int()).String() + "`"
	case s.Default.Kind() == String:
		return "`" + s.Default.Str() + "`"
	}
	return "`" + s.Default.String() + "`"
}
