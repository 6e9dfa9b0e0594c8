package flow

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// YAML returns the flow, with its overlay merged into it, as a flow file in one form, whatever it was loaded from: it loads to the
// same fingerprints. Sections and the keys of an entry have a fixed order, entries that of their declaration; comments are gone.
func (f *Flow) YAML() []byte {
	var w yamlWriter
	w.mapping(f.declared.entries, 0, bySection)
	return []byte(w.String())
}

type yamlWriter struct{ strings.Builder }

// mapping writes entries, one a line, in the order that compare says; nil: as they stand.
func (w *yamlWriter) mapping(entries []entry, depth int, compare func(a, b entry) int) {
	if compare != nil {
		entries = slices.SortedStableFunc(slices.Values(entries), compare)
	}
	for _, e := range entries {
		w.WriteString(strings.Repeat("  ", depth) + quotedText(e.key) + ":")
		if e.value.shape != shapeMapping || len(e.value.entries) == 0 {
			w.WriteString(" " + inline(e.value) + "\n")
			continue
		}
		w.WriteString("\n")
		switch {
		case depth == 0 && e.key != "kafka" && e.key != "state":
			w.mapping(e.value.entries, 1, nil) // names
		case depth == 1:
			w.mapping(e.value.entries, 2, byPart)
		default:
			w.mapping(e.value.entries, depth+1, byKey)
		}
	}
}

func byKey(a, b entry) int { return cmp.Compare(a.key, b.key) }

func bySection(a, b entry) int { return slices.Index(flowKeys, a.key) - slices.Index(flowKeys, b.key) }

// What an entry of a section begins and ends with; its other keys stand between, in order of name.
var (
	firstKeys = []string{"provider", "op", "in", "in_by_source", "when", "for", "where", "key"}
	lastKeys  = []string{"each", "columns", "fields", "tables"}
)

func byPart(a, b entry) int { return cmp.Or(rank(a.key)-rank(b.key), byKey(a, b)) }

func rank(key string) int {
	if i := slices.Index(firstKeys, key); i >= 0 {
		return i - len(firstKeys)
	}
	return slices.Index(lastKeys, key) + 1
}

// inline is a value on one line.
func inline(t *tree) string {
	switch t.shape {
	case shapeNull:
		return "null"
	case shapeString:
		return quotedText(t.text)
	case shapeMapping:
		pairs := make([]string, len(t.entries))
		for i, e := range slices.SortedStableFunc(slices.Values(t.entries), byKey) {
			pairs[i] = quotedText(e.key) + ": " + inline(e.value)
		}
		return "{" + strings.Join(pairs, ", ") + "}"
	case shapeList:
		items := make([]string, len(t.items))
		for i, item := range t.items {
			items[i] = inline(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return t.text
}

var (
	plainText    = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./-]*$`)
	reservedYAML = words("true", "false", "null", "yes", "no", "on", "off", "y", "n", ".inf", ".nan", ".", "..", "...")
)

// quotedText writes a text so that YAML reads it as itself.
func quotedText(text string) string {
	switch {
	case plainText.MatchString(text) && !reservedYAML[strings.ToLower(text)]:
		return text
	case strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }):
		return strconv.Quote(text)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
