package optest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// suffixing gives each text with a suffix.
type suffixing string

func (s suffixing) Apply(_ context.Context, inputs []stream.Value) ([]stream.Value, error) {
	out := make([]stream.Value, len(inputs))
	for i, v := range inputs {
		if v.Str() == "bad" {
			return nil, stream.Errorf(stream.Invalid, "suffix", "it is bad")
		}
		out[i] = stream.StringOf(v.Str() + string(s))
	}
	return out, nil
}

func spec(version int, sign string) stream.OperatorSpec {
	return stream.OperatorSpec{Name: "suffix", Version: version, Settings: []stream.Setting{{Name: "sign", Default: stream.StringOf(sign)}},
		New: func(s stream.Settings) (stream.Operator, error) { return suffixing(s.String("sign")), nil }}
}

// looked is a test that notes what was wrong.
type looked struct {
	testing.TB
	said string
}

func (l *looked) Helper()                           {}
func (l *looked) Errorf(format string, args ...any) { l.said += fmt.Sprintf(format, args...) }

func TestGolden(t *testing.T) {
	t.Chdir(t.TempDir())
	one := Case{Name: "one", Input: stream.StringOf("a")}
	two := Case{Name: "two", Input: stream.StringOf("b"), Settings: []stream.Entry{{Key: "sign", Value: stream.StringOf("?")}}}
	other := two
	other.Input = stream.StringOf("c")
	changed := spec(1, "!")
	changed.New = func(stream.Settings) (stream.Operator, error) { return suffixing("#"), nil }
	raised := changed
	raised.Version = 2
	for _, tt := range []struct {
		name  string
		spec  stream.OperatorSpec
		cases []Case
		want  string // "": it passes
	}{
		{"the first time", spec(1, "!"), []Case{one}, "is written anew: there was none"},
		{"the same", spec(1, "!"), []Case{one}, ""},
		{"a case more", spec(1, "!"), []Case{one, two}, "is written anew: the cases changed"},
		{"the same two", spec(1, "!"), []Case{one, two}, ""},
		{"another output", changed, []Case{one, two}, `raise the version: version 1 gives another output than it gave`},
		{"another output again", changed, []Case{one, two}, `"a#"`},
		{"as it was", spec(1, "!"), []Case{one, two}, ""},
		{"another input", spec(1, "!"), []Case{one, other}, "the cases changed"},
		{"a version more", raised, []Case{one, other}, "the version was raised from 1 to 2"},
		{"the same of version 2", raised, []Case{one, other}, ""},
		{"a version less", changed, []Case{one, other}, "its version 1 was 2 before"},
		{"a failure", raised, []Case{{Name: "one", Input: stream.StringOf("bad")}}, "case one: suffix: it is bad"},
	} {
		l := &looked{TB: t}
		Golden(l, tt.spec, tt.cases)
		if !strings.Contains(l.said, tt.want) || (l.said == "") != (tt.want == "") {
			t.Errorf("%s: it said %q, want %q", tt.name, l.said, tt.want)
		}
	}
	if b, err := os.ReadFile("testdata/suffix.golden"); err != nil || !strings.HasPrefix(string(b), "version 2\n\"one\" of ") || !strings.Contains(string(b), `: "a#"`) {
		t.Errorf("%s, %v", b, err)
	}
}
