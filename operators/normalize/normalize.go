// Package normalize brings texts into one form, so that differences nobody sees cause no work.
//
// It upholds: normalising twice gives what normalising once gives.
package normalize

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// Text declares normalize.text: from a string to the same in Unicode's NFC, with \n as line end, without a byte order
// mark, and its white space collapsed unless told to keep it.
func Text() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "normalize.text",
		Version: 1,
		Doc:     `Brings a text into one form: Unicode NFC, line ends as \n, no byte order mark, white space collapsed.`,
		Settings: []stream.Setting{{
			Name: "whitespace", Kind: stream.SettingString, Default: stream.StringOf("collapse"),
			Enum: []string{"collapse", "keep"}, Output: true,
			Doc: "`collapse`: a run of white space becomes one space, one line end if it holds one, or one empty line if it " +
				"holds more, and white space at both ends goes; `keep`: only line ends change.",
		}},
		Output: func(in stream.Type, _ stream.Settings) (stream.Type, error) {
			if !single.AcceptsText(in) {
				return stream.Type{}, fmt.Errorf("normalize.text takes a string, not %s", in)
			}
			return stream.TypeString, nil
		},
		New: func(s stream.Settings) (stream.Operator, error) {
			keep := s.String("whitespace") == "keep"
			return single.Func(func(in stream.Value) (stream.Value, error) { return normalise(in, keep) }), nil
		},
	}
}

const bom = "\ufeff"

var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func normalise(in stream.Value, keep bool) (stream.Value, error) {
	text, err := single.Text("normalize.text", in)
	if err != nil {
		return stream.Value{}, err
	}
	text = lineEnds.Replace(norm.NFC.String(strings.TrimLeft(text, bom)))
	if !keep {
		text = collapse(strings.TrimLeftFunc(text, func(r rune) bool { return unicode.IsSpace(r) || string(r) == bom }))
	}
	return stream.StringOf(text), nil
}

func collapse(text string) string {
	var b strings.Builder
	for {
		word := strings.TrimLeftFunc(text, unicode.IsSpace)
		if word == "" {
			return b.String()
		}
		if b.Len() > 0 {
			b.WriteString(gap(text[:len(text)-len(word)]))
		}
		end := strings.IndexFunc(word, unicode.IsSpace)
		if end < 0 {
			end = len(word)
		}
		b.WriteString(word[:end])
		text = word[end:]
	}
}

// gap is what a run of white space becomes.
func gap(run string) string {
	switch strings.Count(run, "\n") {
	case 0:
		return " "
	case 1:
		return "\n"
	}
	return "\n\n"
}
