package normalize_test

import (
	"context"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/operators/normalize"
	"github.com/freshet-dev/freshet/stream"
)

var background = context.Background()

func apply(t interface{ Fatal(...any) }, whitespace string, in string) string {
	op, err := normalize.Text().New(stream.Settings{Values: stream.MapOf(
		stream.Entry{Key: "whitespace", Value: stream.StringOf(whitespace)})})
	if err != nil {
		t.Fatal(err)
	}
	out, err := op.Apply(background, []stream.Value{stream.StringOf(in)})
	if err != nil {
		t.Fatal(err)
	}
	return out[0].Str()
}

func TestText(t *testing.T) {
	for _, c := range []struct{ in, keep, collapse string }{
		{"", "", ""},
		{" \t\n", " \t\n", ""},
		{"\ufeffCafe\u0301\r\n  au  lait\r\r\n\u00a0x ", "Café\n  au  lait\n\n\u00a0x ", "Café\nau lait\n\nx"},
		{"a\n\n\n\nb\tc", "a\n\n\n\nb\tc", "a\n\nb c"},
		{"\xff a", "\xff a", "\xff a"},
	} {
		if got := apply(t, "keep", c.in); got != c.keep {
			t.Errorf("keep %q: got %q, want %q", c.in, got, c.keep)
		}
		if got := apply(t, "collapse", c.in); got != c.collapse {
			t.Errorf("collapse %q: got %q, want %q", c.in, got, c.collapse)
		}
	}
}

func TestTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]string{"keep", "collapse"}).Draw(t, "whitespace")
		piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"\r", "\n", " ", "\u0301", "e", "\ufeff", "\u2028", "\u1100\u1161", "\xcc"}))
		in := ""
		for _, p := range rapid.SliceOf(piece).Draw(t, "pieces") {
			in += p
		}
		once := apply(t, mode, in)
		if twice := apply(t, mode, once); twice != once {
			t.Fatalf("%q becomes %q, then %q", in, once, twice)
		}
	})
}

func TestRefused(t *testing.T) {
	if _, err := normalize.Text().Output(stream.TypeInt, stream.Settings{}); err == nil {
		t.Error("an int is accepted")
	}
	op, _ := normalize.Text().New(stream.Settings{})
	if _, err := op.Apply(t.Context(), []stream.Value{stream.IntOf(1)}); err == nil {
		t.Error("an int is normalised")
	}
}
