package markdown_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
)

func TestSections(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"blank", " \n\n", ""},
		{"text only", "a\n\nb\n", `0 "" [] text="a\n\nb\n" blocks=2`},
		{"trail", "# A\na\n## B\n#### C\n## D\n# E\n", `1 "A" [A] text="a\n" blocks=1
2 "B" [A B] text="" blocks=0
4 "C" [A B C] text="" blocks=0
2 "D" [A D] text="" blocks=0
1 "E" [E] text="" blocks=0`},
		{"setext", "#Not\n===\nx\n\ntwo\nlines\n---\ny", `1 "#Not" [#Not] text="x\n\n" blocks=1
2 "two lines" [#Not two lines] text="y" blocks=1`},
		{"not headings", "```\n# a\n```\n<!--\n# b\n-->\n\n- # c\n\n> # d\n\n    # e\n#f\n", `0 "" [] text="` + "```\\n# a\\n```\\n<!--\\n# b\\n-->\\n\\n- # c\\n\\n> # d\\n\\n    # e\\n#f\\n" + `" blocks=6`},
		{"crlf", "\ufeff# A\r\n\r\nb\r\n\r\nC\r\n-\r\nd\r\n", `1 "A" [A] text="\r\nb\r\n\r\n" blocks=1
2 "C" [A C] text="d\r\n" blocks=1`},
		{"markup", "## A `b&lt;` **c** [d](e) <f> \\_&amp;&#35; {#g}\n", `2 "A b&lt; c d _&#" [A b&lt; c d _&#] text="" blocks=0`},
		{"empty heading", "#\nx\n#\n", `1 "" [] text="x\n" blocks=1
1 "" [] text="" blocks=0`},
		{"references", "[a]: b\n# T\n[c]: d\n\n[e]: f\ng [c]\n", `0 "" [] text="[a]: b\n" blocks=1
1 "T" [T] text="[c]: d\n\n[e]: f\ng [c]\n" blocks=3`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := describe(c.in); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func describe(source string) string {
	var lines []string
	for _, s := range markdown.Sections(source) {
		lines = append(lines, fmt.Sprintf("%d %q %s text=%q blocks=%d", s.Level, s.Title, s.Path, source[s.Text:s.End], len(s.Blocks)))
	}
	return strings.Join(lines, "\n")
}

func TestFrontMatter(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"none", "# A\n", `{} "# A\n"`},
		{"map", "---\ntitle: A b\nn: 3\nx: 1.5\nat: 2024-01-02\nlist: [a, 1, null, true]\nin: {k: v}\n1: one\n---\nrest", `{"1": "one", "at": "2024-01-02", "in": {"k": "v"}, "list": ["a", 1, null, true], "n": 3, "title": "A b", "x": 1.5} "rest"`},
		{"dots", "---\na: 1\n...\nrest", `{"a": 1} "rest"`},
		{"crlf and mark", "\ufeff---\r\na: b\r\n---\r\nrest\r\n", `{"a": "b"} "rest\r\n"`},
		{"empty", "---\n---\nrest", `{} "rest"`},
		{"comment", "---\n# nothing\n---\nrest", `{} "rest"`},
		{"unclosed", "---\na: b\n", `{} "---\na: b\n"`},
		{"thematic breaks", "---\n\nSome text.\n\n---\nrest", `{} "---\n\nSome text.\n\n---\nrest"`},
		{"list", "---\n- a\n- b\n---\n", `{} "---\n- a\n- b\n---\n"`},
		{"indented", " ---\na: b\n---\n", `{} " ---\na: b\n---\n"`},
		{"large number", "---\na: 18446744073709551615\n---\n", `{"a": 18446744073709551615} ""`},
		{"broken", "---\na: [1\n---\n", "read the front matter"},
		{"duplicate", "---\na: 1\na: 2\n---\n", "read the front matter"},
		{"alias", "---\na: &x 1\nb: *x\n---\n", "read the front matter: line 2: anchors, aliases, tags"},
		{"tag", "---\na: !!binary aGk=\n---\n", "read the front matter: line 2: anchors, aliases, tags"},
		{"deep", "---\na: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\n---\n", "read the front matter: it nests deeper"},
		{"long", "---\na: " + strings.Repeat("x", 70000) + "\n---\n", "read the front matter: it has 70004 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			meta, at, err := markdown.FrontMatter(c.in)
			got := fmt.Sprintf("%s %q", meta, c.in[at:])
			if err != nil {
				got = err.Error()
			}
			if err == nil && got != c.want || err != nil && !strings.HasPrefix(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}
