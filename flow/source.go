package flow

import (
	"errors"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// source is a flow file's text, by line, with the places where tags, anchors and aliases were masked.
type source struct {
	name   string
	lines  [][]rune
	masked map[place]bool
}

// readTree parses one YAML document into a tree; nil after faults that leave nothing to check.
func readTree(name string, text []byte, faults *faultList) *tree {
	clean := strings.TrimPrefix(string(text), "\ufeff")
	src := &source{name: name, masked: map[place]bool{}}
	for line := range strings.SplitSeq(clean, "\n") {
		src.lines = append(src.lines, []rune(strings.TrimSuffix(line, "\r")))
	}
	r := &reader{faults, src}
	r.mask(lexer.Tokenize(src.text()))
	file, err := parser.ParseBytes([]byte(src.text()), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	return r.document(file)
}

func (s *source) text() string {
	var b strings.Builder
	for i, line := range s.lines {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(string(line))
	}
	return b.String()
}

func (r *reader) document(file *ast.File) *tree {
	var found *tree
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case found != nil:
			r.add(r.at(doc.Body.GetToken()), "put it into a file of its own", "a file holds one flow, this is a second document")
			return found
		default:
			found = r.tree(doc.Body)
		}
	}
	if found == nil {
		r.add(place{r.src.name, 1, 1}, "see `freshet init`", "the file is empty")
	}
	return found
}

func (r *reader) syntax(err error) {
	at, message := place{r.src.name, 1, 1}, err.Error()
	var e *yaml.SyntaxError
	if errors.As(err, &e) {
		at, message = r.at(e.Token), e.Message
	}
	if len(r.src.masked) > 0 {
		return // what was masked is reported already, and probably broke the rest
	}
	suggestion := "check the indentation and the brackets"
	if r.looksLikeFormula(at) {
		suggestion = "quote this formula"
	}
	r.add(at, suggestion, "YAML: %s", message)
}

// looksLikeFormula reports whether the line at a syntax error gives a key a value that only quotes would keep whole.
func (r *reader) looksLikeFormula(at place) bool {
	if at.line > len(r.src.lines) {
		return false
	}
	_, value, found := strings.Cut(string(r.src.lines[at.line-1]), ":")
	return found && strings.ContainsAny(value, `"'()[]?&|!=+*@%`+"`")
}

// mask reports every tag, anchor and alias, and replaces its first character by a letter (or all of it by blanks,
// where a mapping or list follows), so that the rest of the file can still be checked.
func (r *reader) mask(tokens token.Tokens) {
	for _, t := range tokens {
		what := map[token.Type]string{token.TagType: "tag", token.AnchorType: "anchor", token.AliasType: "alias"}[t.Type]
		if what == "" {
			continue
		}
		at := r.at(t)
		if at.line > len(r.src.lines) || at.column > len(r.src.lines[at.line-1]) {
			continue
		}
		line := r.src.lines[at.line-1]
		r.add(at, quoted(formulaText(line[at.column-1:])), "YAML takes this for %s %s, which flow files don't have", article(what), what)
		r.src.masked[at] = true
		if r.src.blockFollows(at) {
			for i := at.column - 1; i < len(line) && !unicode.IsSpace(line[i]); i++ {
				line[i] = ' '
			}
			continue
		}
		line[at.column-1] = 'x'
	}
}

func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an"
	}
	return "a"
}

// blockFollows reports whether the token at this place stands alone before a bracket or a deeper line.
func (s *source) blockFollows(at place) bool {
	line := s.lines[at.line-1]
	i := at.column - 1
	for i < len(line) && !unicode.IsSpace(line[i]) {
		i++
	}
	rest := strings.TrimSpace(string(line[i:]))
	if rest != "" {
		return rest[0] == '{' || rest[0] == '['
	}
	return at.line < len(s.lines) && indent(s.lines[at.line]) > indent(line)
}

func indent(line []rune) int {
	for i, c := range line {
		if c != ' ' {
			return i
		}
	}
	return 0
}

// formulaText is the rest of a line up to where a formula in braces would end.
func formulaText(rest []rune) string {
	depth := 0
	for i, c := range rest {
		switch {
		case strings.ContainsRune("([{", c):
			depth++
		case strings.ContainsRune(")]}", c):
			if depth--; depth < 0 {
				return strings.TrimSpace(string(rest[:i]))
			}
		case c == ',' && depth == 0:
			return strings.TrimSpace(string(rest[:i]))
		}
	}
	return strings.TrimSpace(string(rest))
}
