package cli

import (
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
)

// TestAdding: a program adds what flow files may name; a name that is empty or taken is told before anything runs.
func TestAdding(t *testing.T) {
	p := program{registry: registry()}
	known := p.registry
	for _, o := range []Option{WithSink(stream.SinkSpec{Name: "mine"}), WithOperator(stream.OperatorSpec{Name: "mine"}), WithProvider(stream.ProviderSpec{Name: "mine"})} {
		if err := o(&p); err != nil {
			t.Error(err)
		}
	}
	if _, added := known.Sinks["mine"]; !added || known.Operators["mine"].Name == "" || known.Providers["mine"].Name == "" {
		t.Error("not all of it was added")
	}
	for name, o := range map[string]Option{`target of the name "sqlite"`: WithSink(stream.SinkSpec{Name: "sqlite"}),
		"this program brings several flows": func(p *program) error {
			p.built = flow.New("one")
			return WithFlow(flow.New("two"))(p)
		},
		`operator of the name ""`: WithOperator(stream.OperatorSpec{}), `provider of the name "hash"`: WithProvider(stream.ProviderSpec{Name: "hash"})} {
		err := run(t.Context(), []Option{o})
		if err == nil || !strings.Contains(err.Error(), name) || exitCode(err) != exitUsage {
			t.Errorf("%s: %v", name, err)
		}
	}
}
