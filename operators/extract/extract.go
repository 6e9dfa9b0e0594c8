package extract

import (
	"context"
	"errors"
	"fmt"

	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

// Spec declares extract: from a string to a value of the type that a JSON Schema describes, answered by the model that the
// setting names.
func Spec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "extract",
		Version: 1,
		Doc: "Asks a language model about a text: what `prompt` says to do with it, in the form that `schema` declares. Answers are kept and reused " +
			"for equal texts.",
		Settings: []stream.Setting{
			{Name: "model", Kind: stream.SettingModel, Required: true, Output: true, Doc: "Entry of `models` that answers."},
			{Name: "prompt", Kind: stream.SettingPath, Required: true, Output: true,
				Doc: "File, relative to the flow file, with what the model is told before each text."},
			{Name: "schema", Kind: stream.SettingPath, Required: true, Output: true,
				Doc: "File, relative to the flow file, with the JSON Schema of an answer."},
		},
		Costly: true,
		Output: output,
		New:    open,
	}
}

func output(in stream.Type, s stream.Settings) (stream.Type, error) {
	if !single.AcceptsText(in) {
		return stream.Type{}, fmt.Errorf("extract takes a string, not %s; a formula such as string(...) makes one", in)
	}
	if s.Model == nil || s.Model.Provider.Ask == nil {
		return stream.Type{}, errors.New("extract needs a model that answers; name an entry of models of the provider openai.chat")
	}
	form, err := readForm(s)
	if err != nil {
		return stream.Type{}, err
	}
	return form.typ, nil
}

func open(s stream.Settings) (stream.Operator, error) {
	if s.Model == nil || s.Model.Provider.Ask == nil {
		return nil, stream.Errorf(stream.Usage, "extract", "no model that answers is given; name an entry of models of the provider openai.chat")
	}
	form, err := readForm(s)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, "extract", "%w", err)
	}
	prompt, err := s.File("prompt")
	if err != nil {
		return nil, stream.Errorf(stream.Usage, "read the prompt", "%w", err)
	}
	model, err := s.Model.Provider.Ask(s.Model.Settings, stream.Question{Prompt: string(prompt), Schema: form.text, Closed: form.closed})
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", s.Model.Name, err)
	}
	return &operator{model: model, form: form, told: string(prompt) + string(form.text), op: "extract by model " + s.Model.Name}, nil
}

// operator asks one model for answers of one form.
type operator struct {
	model stream.Answerer
	form  form
	told  string
	op    string // begins errors
}

// Concurrency implements stream.Concurrent.
func (o *operator) Concurrency() int { return o.model.Concurrency() }

// Told implements stream.Instructed.
func (o *operator) Told() string { return o.told }

// Apply implements stream.Operator: one request, and one attempt, for each input. The failure of the only one is that of the call.
func (o *operator) Apply(ctx context.Context, inputs []stream.Value) ([]stream.Value, error) {
	if len(inputs) == 1 {
		v, err := o.ask(ctx, inputs[0])
		return []stream.Value{v}, err
	}
	return single.Func(func(in stream.Value) (stream.Value, error) { return o.ask(ctx, in) }).Apply(ctx, inputs)
}

func (o *operator) ask(ctx context.Context, in stream.Value) (stream.Value, error) {
	text, err := single.Text(o.op, in)
	if err != nil {
		return stream.Value{}, err
	}
	answer, err := o.model.Answer(ctx, text)
	if err != nil {
		return stream.Value{}, stream.Within(o.op, err)
	}
	v, err := o.form.read(answer)
	if err != nil {
		return stream.Value{}, stream.Errorf(stream.Invalid, o.op, "%w", err)
	}
	return v, nil
}
