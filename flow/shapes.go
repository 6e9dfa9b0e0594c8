package flow

import (
	"regexp"
	"slices"
	"strconv"
)

// isMapping reports whether t is a mapping, and faults it otherwise. what names it in the message.
func (c *checker) isMapping(t *tree, what string) bool {
	return c.isShape(t, what, shapeMapping, "write `key: value` pairs below it")
}

func (c *checker) isShape(t *tree, what string, want shape, suggestion string) bool {
	if t == nil || t.masked {
		return false
	}
	if t.shape != want {
		c.add(t.at, suggestion, "%s must be %s, not %s", what, want, t.shape)
		return false
	}
	return true
}

// known faults every key of t that is not in keys: as not built yet where later says so, else as unknown.
func (c *checker) known(t *tree, what string, later map[string]string, keys ...string) {
	for _, e := range t.entries {
		if slices.Contains(keys, e.key) {
			continue
		}
		if missing, ok := later[e.key]; ok {
			c.add(e.at, "remove it for now", "%s: `%s`: %s", what, e.key, missing)
			continue
		}
		c.add(e.at, didYouMean(e.key, keys), "%s has no key %q", what, e.key)
	}
}

// text returns a string's content.
func (c *checker) text(t *tree, what string) (string, bool) {
	if !c.isShape(t, what, shapeString, "quote it") {
		return "", false
	}
	return t.text, true
}

// integer returns an integer between low and high.
func (c *checker) integer(t *tree, what string, low, high int64) (int64, bool) {
	if !c.isShape(t, what, shapeInt, "write a whole number") {
		return 0, false
	}
	n, err := strconv.ParseInt(t.text, 10, 64)
	if err != nil {
		c.add(t.at, "write it in plain digits", "%s must be a whole number of at most 64 bits, not %s", what, t.text)
		return 0, false
	}
	if n < low || n > high {
		c.add(t.at, "", "%s must be between %d and %d, not %d", what, low, high, n)
		return 0, false
	}
	return n, true
}

// strings returns a list of strings.
func (c *checker) strings(t *tree, what string) ([]string, bool) {
	if !c.isShape(t, what, shapeList, "write it in brackets: [a, b]") {
		return nil, false
	}
	out, ok := []string{}, true
	for _, item := range t.items {
		s, fine := c.text(item, "each entry of "+what)
		out, ok = append(out, s), ok && fine
	}
	return out, ok
}

var (
	identifier  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	columnName  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
	topicPart   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
	identifiers = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)
)

// celKeywords can't be names in formulas.
var celKeywords = words("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function",
	"if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while")

func (c *checker) matches(at place, what, name string, pattern *regexp.Regexp, rule string) bool {
	if pattern.MatchString(name) {
		return true
	}
	c.add(at, rule, "%q can't be the name of %s", name, what)
	return false
}

const (
	identifierRule = "use letters, digits and underscores, a letter first"
	topicRule      = "use letters, digits, underscores and hyphens, a letter or digit first"
)
