package extract

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/freshet-dev/freshet/operators/internal/blackbox"
	"github.com/freshet-dev/freshet/stream"
)

// form is what an answer looks like.
type form struct {
	text   []byte // the JSON Schema
	typ    stream.Type
	rules  *jsonschema.Schema
	closed bool // no object has a field that may be left out
}

// readForm reads the JSON Schema that settings name. Errors name the file and the place in it.
func readForm(s stream.Settings) (form, error) {
	text, err := s.File("schema")
	if err != nil {
		return form{}, fmt.Errorf("read the schema: %w", err)
	}
	f, err := newForm(text)
	if err != nil {
		return form{}, fmt.Errorf("schema %s: %w", s.String("schema"), err)
	}
	return f, nil
}

func newForm(text []byte) (form, error) {
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return form{}, err
	}
	r := reader{root: root, closed: true}
	typ, err := r.typ(root, "#")
	if err == nil && typ.Kind != stream.Map {
		err = fmt.Errorf("at #: an answer must be an object, not %s", typ)
	}
	if err != nil {
		return form{}, err
	}
	const name = "answer.json"
	c := jsonschema.NewCompiler()
	c.UseLoader(alone{})
	if err := c.AddResource(name, root); err != nil {
		return form{}, err
	}
	rules, err := c.Compile(name)
	if err != nil {
		return form{}, err
	}
	return form{text, typ, rules, r.closed}, nil
}

// alone loads no other schema than the one that is given.
type alone struct{}

func (alone) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %s; write what it takes from there under $defs", url)
}

// read makes a value of an answer that keeps the schema. Errors don't quote it.
func (f form) read(answer []byte) (stream.Value, error) {
	x, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	if err != nil {
		return stream.Value{}, fmt.Errorf("the answer is no JSON (%d bytes)", len(answer))
	}
	if err := f.rules.Validate(x); err != nil {
		var broken *jsonschema.ValidationError
		if errors.As(err, &broken) {
			return stream.Value{}, fmt.Errorf("the answer does not keep the schema: %s", place(broken))
		}
		return stream.Value{}, err
	}
	return blackbox.Value(x, f.typ, "the answer")
}

// place names the first rule that is broken, and where.
func place(e *jsonschema.ValidationError) string {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	return fmt.Sprintf("%s of /%s", strings.Join(e.ErrorKind.KeywordPath(), "/"), strings.Join(e.InstanceLocation, "/"))
}
