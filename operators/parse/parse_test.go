package parse_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/operators/parse"
	"github.com/freshet-dev/freshet/stream"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func apply(t testing.TB, spec stream.OperatorSpec, in stream.Value) (stream.Value, error) {
	t.Helper()
	op, err := spec.New(stream.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := op.Apply(t.Context(), []stream.Value{in})
	if err != nil {
		return stream.Value{}, err
	}
	return out[0], nil
}

// lines writes a value one leaf a line, so that golden files show differences well.
func lines(path string, v stream.Value) string {
	var b strings.Builder
	switch {
	case v.Kind() == stream.Map && v.Len() > 0:
		for _, e := range v.Entries() {
			b.WriteString(lines(path+"."+e.Key, e.Value))
		}
	case v.Kind() == stream.List && v.Len() > 0:
		for i := range v.Len() {
			b.WriteString(lines(fmt.Sprintf("%s[%d]", path, i), v.At(i)))
		}
	default:
		fmt.Fprintf(&b, "%s = %s\n", path, v)
	}
	return b.String()
}

func TestMarkdownGolden(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.md")
	if len(files) == 0 {
		t.Fatal("testdata holds no *.md")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			out, err := apply(t, parse.Markdown(), stream.StringOf(string(source)))
			got := lines("", out)
			if err != nil {
				got = fmt.Sprintf("%s: %v\n", stream.KindOf(only(t, err)), only(t, err))
			}
			golden(t, strings.TrimSuffix(file, ".md")+".golden", got)
		})
	}
}

func only(t *testing.T, err error) error {
	t.Helper()
	batch, ok := err.(*stream.BatchError)
	if !ok || len(batch.Failed) != 1 {
		t.Fatalf("want a batch error with one input, got %v", err)
	}
	return batch.Failed[0]
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

func TestOutputTypes(t *testing.T) {
	for _, spec := range []stream.OperatorSpec{parse.Markdown(), parse.Text()} {
		if _, err := spec.Output(stream.TypeInt, stream.Settings{}); err == nil {
			t.Errorf("%s accepts an int", spec.Name)
		}
		for _, in := range []stream.Type{stream.TypeString, stream.TypeString.OrNull(), stream.TypeDynamic} {
			out, err := spec.Output(in, stream.Settings{})
			if err != nil || out.Kind != stream.Map {
				t.Errorf("%s of %s: %s, %v", spec.Name, in, out, err)
			}
		}
	}
}

func TestNotText(t *testing.T) {
	for _, spec := range []stream.OperatorSpec{parse.Markdown(), parse.Text()} {
		_, err := apply(t, spec, stream.IntOf(1))
		if stream.KindOf(only(t, err)) != stream.Invalid {
			t.Errorf("%s of an int: %v", spec.Name, err)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                       `{"offset": 0, "text": "", "title": ""}`,
		"\ufeff\r\n A b \r\nc\n": `{"offset": 3, "text": "\r\n A b \r\nc\n", "title": "A b"}`,
	} {
		out, err := apply(t, parse.Text(), stream.StringOf(in))
		if err != nil || out.String() != want {
			t.Errorf("%q: got %s, %v, want %s", in, out, err, want)
		}
	}
}

func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	op, _ := parse.Markdown().New(stream.Settings{})
	if _, err := op.Apply(ctx, []stream.Value{stream.StringOf("")}); stream.KindOf(err) != stream.Transient {
		t.Errorf("got %v, want a transient error", err)
	}
}

// FuzzMarkdown: never a panic; only Invalid errors; each part is the bytes that its span names.
func FuzzMarkdown(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.md")
	for _, file := range files {
		source, _ := os.ReadFile(file)
		f.Add(string(source))
	}
	f.Add("---\n" + strings.Repeat("- ", 20000) + "\n---\n")
	f.Add("a\n=\r\n\r\n#\r\n\x00\xff\n===")
	f.Fuzz(func(t *testing.T, source string) {
		op, _ := parse.Markdown().New(stream.Settings{})
		out, err := op.Apply(t.Context(), []stream.Value{stream.StringOf(source)})
		if err != nil {
			if kind := stream.KindOf(only(t, err)); kind != stream.Invalid {
				t.Fatalf("%s: %v", kind, err)
			}
			return
		}
		checkParts(t, source, out[0])
	})
}

func checkParts(t *testing.T, source string, out stream.Value) {
	t.Helper()
	if got := source[out.Field("offset").Int():]; got != out.Field("text").Str() {
		t.Fatalf("text is not the source from its offset: %q", got)
	}
	end, seen := int64(0), map[string]bool{}
	for i := range out.Field("sections").Len() {
		s := out.Field("sections").At(i)
		from, to := s.Field("span").Field("start").Int(), s.Field("span").Field("end").Int()
		if from < end || to < from || source[from:to] != s.Field("text").Str() {
			t.Fatalf("section %d: span %d to %d after %d, text %q", i, from, to, end, s.Field("text").Str())
		}
		if id := s.Field("id").Str(); seen[id] {
			t.Fatalf("section ID %s twice", id)
		}
		seen[s.Field("id").Str()] = true
		end = to
	}
}
