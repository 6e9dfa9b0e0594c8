package flow

import (
	"fmt"
	"strings"
	"testing"
)

func TestLocateFindsCharactersOfAFormula(t *testing.T) {
	cases := []struct{ name, src, find string }{
		{"plain", "a: one + two", "two"},
		{"single quotes", "a: 'one + ''x'' + two'", "two"},
		{"double quotes", `a: "one + \"x\\n\" + two"`, "two"},
		{"after é", "a: 'é + two'", "two"},
		{"literal block", "a: |\n    one +\n      two\n", "two"},
		{"folded block", "a: >-\n  one +\n  é two\n", "two"},
		{"plain over two lines", "a: one +\n  two", "two"},
		{"in braces", "a: { b: 1, c: one + two }", "two"},
		{"begin", "a: 'two'", "two"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			faults := &faultList{}
			root := readTree("f", []byte(c.src), faults)
			if len(faults.list) > 0 {
				t.Fatal(faults.list)
			}
			value := root.get("a")
			if value.shape == shapeMapping {
				value = value.get("c")
			}
			line, column := position(value.text, c.find)
			wantLine, wantColumn := position(c.src, c.find)
			if got, want := value.locate(line, column), (place{"f", wantLine, wantColumn}); got != want {
				t.Errorf("%d:%d of %q is at %s, want %s", line, column, value.text, got, want)
			}
		})
	}
}

// position is where find first occurs in text: line and column from 1.
func position(text, find string) (line, column int) {
	before, _, _ := strings.Cut(text, find)
	last := before[strings.LastIndexByte(before, '\n')+1:]
	return strings.Count(before, "\n") + 1, len([]rune(last)) + 1
}

func TestDidYouMean(t *testing.T) {
	cases := []struct {
		word  string
		known []string
		want  string
	}{
		{"partitons", []string{"brokers", "partitions"}, "did you mean partitions?"},
		{"fro", []string{"for", "where"}, "did you mean for?"},
		{"Key", []string{"key"}, "did you mean key?"},
		{"quite else", []string{"b", "a"}, "known: a, b"},
		{"x", nil, ""},
	}
	for _, c := range cases {
		if got := didYouMean(c.word, c.known); got != c.want {
			t.Errorf("%s: %q, want %q", c.word, got, c.want)
		}
	}
}

func TestTypesOfFields(t *testing.T) {
	for _, text := range []string{"bool", "int", "double", "string", "bytes", "timestamp", "string?", "decimal(2)", "decimal(0)?",
		"list(int)", "list(list(string?))?", "map", "map?", "dyn"} {
		got, ok := parseType(text)
		if !ok || got.String() != text {
			t.Errorf("%s: read as %s, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "text", "decimal", "decimal(-1)", "decimal(x)", "list", "list()", "list(int", "int??", "decimal(999)"} {
		if got, ok := parseType(text); ok {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(handbook)
	f.Add("flow: &x\nsources: !y {a: *z}\nnodes: [1, 2]\ntables: {t: {columns: {a: f(b, c), d: \"\\n\" + e}}}")
	f.Add("a: |\n b\n? x\n: y\n<<: {}")
	f.Fuzz(func(t *testing.T, src string) {
		flow, err := Parse("flow.yaml", []byte(src), testRegistry())
		if (flow == nil) == (err == nil) {
			t.Fatal("neither a flow nor faults, or both")
		}
		for _, fault := range AsFaults(err) {
			if fault.Line < 1 || fault.Column < 1 {
				t.Fatal(fmt.Sprint("no position: ", fault))
			}
		}
	})
}
