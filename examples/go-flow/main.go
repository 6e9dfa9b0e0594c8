// Command go-flow is freshet with a flow that is declared in Go, and an operator of its own.
package main

import (
	"context"
	"strings"

	"github.com/freshet-dev/freshet/cli"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
)

func main() { cli.Main(cli.WithOperator(leadSpec()), cli.WithFlow(notes())) }

// notes keeps a table of how each note begins.
func notes() *flow.Builder {
	f := flow.New("notes")
	f.Source("note", flow.Map{"files": flow.Map{"root": "notes", "include": []string{"**/*.md"}}})
	f.Node("body", flow.Map{"op": "parse.markdown", "in": "note.content"})
	f.Node("begins", flow.Map{"op": "lead", "in": "body.text", "words": 6})
	f.Table("notes", flow.Map{"columns": flow.Map{"path": "note.path", "title": "body.title", "begins": "begins"}})
	f.Target("local", flow.Map{"sqlite": flow.Map{"path": "notes.db"}, "tables": []string{"notes"}})
	return f
}

// leadSpec declares the operator: the first words of a text.
func leadSpec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:     "lead",
		Version:  1, // raised whenever an output changes: part of the key under which results are stored
		Doc:      "Gives the first words of a text.",
		Costly:   true, // as if it were: its results are stored, and never computed twice
		Settings: []stream.Setting{{Name: "words", Kind: stream.SettingInt, Default: stream.IntOf(12), Min: 1, Max: 100, Output: true, Doc: "How many words."}},
		Output: func(in stream.Type, _ stream.Settings) (stream.Type, error) {
			if in.Kind != stream.String {
				return in, stream.Errorf(stream.Usage, "lead", "it reads a string, not %s", in)
			}
			return stream.TypeString, nil
		},
		New: func(s stream.Settings) (stream.Operator, error) { return lead(s.Int("words")), nil },
	}
}

// lead gives so many words.
type lead int

// Apply implements stream.Operator.
func (n lead) Apply(_ context.Context, inputs []stream.Value) ([]stream.Value, error) {
	out := make([]stream.Value, len(inputs))
	for i, text := range inputs {
		words := strings.Fields(text.Str())
		out[i] = stream.StringOf(strings.Join(words[:min(len(words), int(n))], " "))
	}
	return out, nil
}
