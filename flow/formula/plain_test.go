package formula

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// TestPlainIsTheInterpreters: a selection of fields gives what the interpreter gives, values and failures alike.
func TestPlainIsTheInterpreters(t *testing.T) {
	env, err := NewEnv([]Var{{Name: "doc", Type: stream.TypeDynamic}})
	if err != nil {
		t.Fatal(err)
	}
	values := rapid.SampledFrom([]stream.Value{{}, stream.IntOf(3), stream.StringOf("x"), stream.BoolOf(true), stream.DoubleOf(-0.5),
		stream.BytesOf([]byte{1}), stream.ListOf(stream.IntOf(1)), stream.VectorOf([]float32{1, 2}), stream.MapOf(),
		stream.MapOf(stream.Entry{Key: "b", Value: stream.IntOf(1)}), stream.MapOf(stream.Entry{Key: "b", Value: stream.MapOf(
			stream.Entry{Key: "c", Value: stream.StringOf("deep")})})})
	rapid.Check(t, func(t *rapid.T) {
		f, faults := env.Compile(rapid.SampledFrom([]string{"doc", "doc.a", "doc.a.b", "doc.a.b.c"}).Draw(t, "formula"))
		if faults != nil || f.plain == nil {
			t.Fatalf("%v, plain %v", faults, f.plain)
		}
		doc := values.Draw(t, "doc")
		if rapid.Bool().Draw(t, "nested") {
			doc = stream.MapOf(stream.Entry{Key: "a", Value: doc})
		}
		vars := func(string) stream.Value { return doc }
		got, gotErr := f.Eval(vars)
		slow := *f
		slow.plain = nil
		want, wantErr := slow.Eval(vars)
		if (gotErr == nil) != (wantErr == nil) || gotErr == nil && !got.Equal(want) {
			t.Fatalf("%s, %v; the interpreter gives %s, %v", got, gotErr, want, wantErr)
		}
	})
}
