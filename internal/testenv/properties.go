package testenv

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// propertyLines writes settings as lines of a Java properties file, in the order of their names.
func propertyLines(settings map[string]string) string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s=%s\n", name, settings[name])
	}
	return text.String()
}

// parseProperties reads the lines of a Java properties file that holds plain name=value lines and comments.
func parseProperties(text string) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(name, "#") {
			settings[name] = value
		}
	}
	return settings
}
