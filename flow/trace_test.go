package flow

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

const traced = `flow: traced
sources: { page: { files: { root: . }, where: 'page.path != "secret"' } }
models: { m: { provider: hash } }
nodes:
  words:  { op: expr, in: 'page.content.split(" ")', each: word }
  upper:  { op: expr, in: 'string(word) + "!"' }
  vector: { op: embed, in: upper, model: m }
tables:
  words: { for: word, key: upper, columns: { v: vector } }
`

func TestTrace(t *testing.T) {
	f := mustParse(t, traced)
	calls := newCounted()
	got, err := f.Program.Trace(context.Background(), page("a", "x y"), calls)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprint(got.Kept, got.Nodes[0], got.Nodes[1]); text != `true {words expr  [["x", "y"]] true} {upper expr word ["x!" "y!"] true}` {
		t.Errorf("got %s", text)
	}
	if v := got.Nodes[2]; v.Node != "vector" || len(v.Values) != 2 || v.Values[0].Kind() != stream.Vector {
		t.Errorf("got %v", v)
	}
	if rows := mustEvaluate(t, f, page("a", "x y"), newCounted()); printed(got.Rows) != printed(rows) {
		t.Errorf("got %v, want %v", got.Rows, rows)
	}
}

func TestTraceOfWhatIsNotKept(t *testing.T) {
	got, err := mustParse(t, traced).Program.Trace(context.Background(), page("secret", "x"), newCounted())
	if err != nil || got.Kept || got.Nodes[0].Ran || got.Rows != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

type refusing struct{ *counted }

func (refusing) Call(context.Context, *stream.Node, []stream.Value) ([]stream.Value, error) {
	return nil, stream.Errorf(stream.Invalid, "embed", "too long")
}

func TestTraceEndsAtAFailure(t *testing.T) {
	got, err := mustParse(t, traced).Program.Trace(context.Background(), page("a", "x"), refusing{newCounted()})
	var e *stream.Error
	if !errors.As(err, &e) || e.Doc != "page/a" || !got.Kept || fmt.Sprint(got.Nodes[1].Values) != `["x!"]` {
		t.Errorf("got %+v, %v", got, err)
	}
}
