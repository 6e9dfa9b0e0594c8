package flow

import (
	"errors"
	"regexp"
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
	file := r.parse()
	if file == nil {
		return nil
	}
	return r.document(file)
}

// parse parses the text. At a syntax error in a value that looks like a formula it reports it, masks the value and goes
// on, so that other faults are found as well; at any other it gives up.
func (r *reader) parse() *ast.File {
	for {
		file, err := parser.ParseBytes([]byte(r.src.text()), 0, parser.AllowDuplicateMapKey())
		if err == nil {
			return file
		}
		at, message := place{r.src.name, 1, 1}, err.Error()
		var e *yaml.SyntaxError
		if errors.As(err, &e) {
			at, message = r.at(e.Token), e.Message
		}
		if !r.syntax(at, message) {
			return nil
		}
	}
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

var blockValue = regexp.MustCompile(`^(\s*[A-Za-z_][A-Za-z0-9_]*:\s+)(\S.*)$`)

// syntax reports a syntax error, and masks the value of its line when it looks like a formula that only quotes would keep
// whole. It returns whether parsing again may find more.
func (r *reader) syntax(at place, message string) bool {
	var parts []string
	if at.line <= len(r.src.lines) {
		parts = blockValue.FindStringSubmatch(string(r.src.lines[at.line-1]))
	}
	formula := parts != nil && strings.ContainsAny(parts[2], "\"'()[]?&|!=+*@%`")
	switch {
	case formula:
		r.add(at, "quote this formula", "YAML: %s", message)
	case len(r.src.masked) == 0: // else what was masked is reported already, and probably broke the rest
		r.add(at, "check the indentation and the brackets", "YAML: %s", message)
	}
	if formula {
		begin := len([]rune(parts[1]))
		r.src.masked[place{r.src.name, at.line, begin + 1}] = true
		r.src.lines[at.line-1] = append(r.src.lines[at.line-1][:begin:begin], 'x')
	}
	return formula
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
		r.add(at, "quote this formula", "YAML takes this for %s %s, which flow files don't have", article(what), what)
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
