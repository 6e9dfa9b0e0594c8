package formula_test

import (
	"bytes"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

// anyValue draws values of every kind.
func anyValue(depth int) *rapid.Generator[stream.Value] {
	return rapid.Custom(func(t *rapid.T) stream.Value {
		kinds := 11
		if depth > 0 {
			kinds = 13
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return stream.Value{}
		case 1:
			return stream.BoolOf(rapid.Bool().Draw(t, "bool"))
		case 2:
			return stream.IntOf(rapid.Int64().Draw(t, "int"))
		case 3:
			return stream.DoubleOf(rapid.Float64().Draw(t, "double"))
		case 4:
			return stream.StringOf(rapid.String().Draw(t, "string"))
		case 5:
			return stream.BytesOf(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		case 6:
			return stream.TimestampOf(time.Unix(0, rapid.Int64().Draw(t, "ns")))
		case 7:
			return stream.DecimalOf(big.NewInt(rapid.Int64().Draw(t, "unscaled")), rapid.IntRange(-9, 9).Draw(t, "scale"))
		case 8:
			return stream.VectorOf(rapid.SliceOf(rapid.Float32()).Draw(t, "vector"))
		case 9:
			v, _ := stream.SparseOf([]uint32{1, 5}, []float32{rapid.Float32().Draw(t, "weight"), 2})
			return v
		case 10:
			v, _ := stream.MultiVectorOf(2, []float32{1, 2, rapid.Float32().Draw(t, "last"), 4})
			return v
		case 11:
			return stream.ListOf(rapid.SliceOfN(anyValue(depth-1), 0, 4).Draw(t, "list")...)
		}
		var entries []stream.Entry
		for k, v := range rapid.MapOfN(rapid.String(), anyValue(depth-1), 0, 4).Draw(t, "map") {
			entries = append(entries, stream.Entry{Key: k, Value: v})
		}
		return stream.MapOf(entries...)
	})
}

func TestValuesPassUnchanged(t *testing.T) {
	e, err := formula.NewEnv([]formula.Var{{Name: "v", Type: stream.TypeDynamic}, {Name: "w", Type: stream.TypeDynamic}})
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string]func(v stream.Value) stream.Value{
		"v":                  func(v stream.Value) stream.Value { return v },
		"[v, v]":             func(v stream.Value) stream.Value { return stream.ListOf(v, v) },
		`{"k": v}.k`:         func(v stream.Value) stream.Value { return v },
		"[v].map(x, x)":      func(v stream.Value) stream.Value { return stream.ListOf(v) },
		"w.or(v)":            func(v stream.Value) stream.Value { return v },
		"true ? v : w":       func(v stream.Value) stream.Value { return v },
		`{"a": [v]}`:         func(v stream.Value) stream.Value { return object("a", stream.ListOf(v)) },
		"[v].filter(x,true)": func(v stream.Value) stream.Value { return stream.ListOf(v) },
	}
	for src, shape := range shapes {
		f, faults := e.Compile(src)
		if faults != nil {
			t.Fatal(faults)
		}
		rapid.Check(t, func(t *rapid.T) {
			v := anyValue(2).Draw(t, "v")
			got, err := f.Eval(lookup(map[string]stream.Value{"v": v}))
			if want := shape(v); err != nil || !got.Equal(want) {
				t.Fatalf("%s of %s gave %s, %v", src, v, got, err)
			}
		})
	}
}

func TestResultsAreReproducible(t *testing.T) {
	var entries []stream.Entry
	for i := range 50 {
		entries = append(entries, stream.Entry{Key: fmt.Sprint("k", i*7919%50), Value: stream.IntOf(int64(i))})
	}
	m := map[string]stream.Value{"other": stream.MapOf(entries...)}
	for _, src := range []string{
		`other.map(k, k)`,
		`other.transformMap(k, v, v + 1).map(k, k)`,
		`other.transformMapEntry(k, v, {"x" + k: v}).transformList(k, v, [k, v])`,
		`{"q": 1, "w": 2, "e": 3, "r": 4, "t": 5, "y": 6, "u": 7, "i": 8}.map(k, k).join()`,
		`{"m": {"z": 1, "y": 2, "x": 3, "w": 4, "v": 5}}.m.transformList(k, v, k)`,
		`[{"q": 1, "w": 2, "e": 3, "r": 4, "t": 5}].map(m, m.map(k, k))`,
		`"%s".format([{"q": 1, "w": 2, "e": 3, "r": 4, "t": 5, "y": 6}])`,
	} {
		var first []byte
		for range 100 {
			v, err := compile(t, src).Eval(lookup(m))
			if err != nil {
				t.Fatal(src, err)
			}
			enc := stream.AppendValue(nil, v)
			if first != nil && !bytes.Equal(first, enc) {
				t.Fatalf("%s gave different results", src)
			}
			first = enc
		}
	}
}

func resolved(names ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(names); i += 2 {
			if names[i] == name {
				return names[i+1]
			}
		}
		return "<" + name + ">"
	}
}

func TestCanonicalIgnoresHowItIsWritten(t *testing.T) {
	for _, pair := range [][2]string{
		{`body.title+"x"`, "  body.title\n  +  'x' // a comment"},
		{`body.title`, `((body).title)`},
		{`body["title"]`, `body.title`},
		{`tags.map(a, a + "x")`, `tags.map(b, b + "x")`},
		{`tags.map(a, tags.filter(b, a == b))`, `tags.map(b, tags.filter(a, b == a))`},
		{`other.transformList(k, v, k)`, `other.transformList(v, k, v)`},
	} {
		a, b := compile(t, pair[0]).Canonical(resolved()), compile(t, pair[1]).Canonical(resolved())
		if !bytes.Equal(a, b) {
			t.Errorf("%q and %q differ:\n%q\n%q", pair[0], pair[1], a, b)
		}
	}
}

func TestCanonicalFollowsResolvedNames(t *testing.T) {
	a := compile(t, "v_de.or(v_en)").Canonical(resolved("v_de", "1", "v_en", "2"))
	b := compile(t, "v_en.or(v_de)").Canonical(resolved("v_en", "1", "v_de", "2"))
	if !bytes.Equal(a, b) {
		t.Error("a renaming changed the canonical form")
	}
	if bytes.Equal(a, compile(t, "v_de.or(v_en)").Canonical(resolved("v_de", "2", "v_en", "1"))) {
		t.Error("exchanged variables have one canonical form")
	}
}

func TestCanonicalIgnoresTypes(t *testing.T) {
	dynamic := make([]formula.Var, len(vars))
	for i, v := range vars {
		dynamic[i] = formula.Var{Name: v.Name, Type: stream.TypeDynamic}
	}
	env, err := formula.NewEnv(dynamic)
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{`body.sections[0].map(k, k)`, `size(body)`, `n + 1`, `string(price)`, `body == null`} {
		f, faults := env.Compile(src)
		if faults != nil {
			t.Fatal(faults)
		}
		if !bytes.Equal(f.Canonical(resolved()), compile(t, src).Canonical(resolved())) {
			t.Errorf("the canonical form of %q depends on types", src)
		}
	}
}

func TestCanonicalTellsFormulasApart(t *testing.T) {
	seen := map[string]string{}
	for _, src := range []string{`body.title`, `body.subtitle`, `has(body.title)`, `body.title + "x"`, `"x" + body.title`,
		`body.title + "xy"`, `1`, `1u`, `1.0`, `"1"`, `b"1"`, `true`, `null`, `[1]`, `[1, 2]`, `[[1], 2]`, `[[1, 2]]`, `{"a": 1}`,
		`tags.map(a, a)`, `tags.filter(a, true)`, `tags.map(a, "a")`, `tags.map(a, tags.map(b, a))`, `tags.map(a, tags.map(b, b))`,
		`tags.all(a, a == "")`, `tags.exists(a, a == "")`, `n + 1`, `n - 1`, `flag ? 1 : 2`, `flag ? 2 : 1`, `size(tags)`, `tags.size()`,
		`other.transformList(k, v, k)`, `other.transformList(k, v, v)`, `other.map(k, k)`, `-1`, `"a" + "b" + "c"`, `"a" + ("b" + "c")`} {
		key := string(compile(t, src).Canonical(resolved()))
		if before, ok := seen[key]; ok {
			t.Errorf("%q and %q have one canonical form", before, src)
		}
		seen[key] = src
	}
}

func TestFormulasAreSafeForConcurrentUse(t *testing.T) {
	sources := []string{`body.sections.map(s, s.title).join()`, `n + other`, `gone + 1`, `timestamp(n * 1000000000000000000)`,
		`{"b": 1, "a": 2}.map(k, k)`, `math.abs(-n)`, `"x".matches(body.title)`}
	env := environment(t)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range 20 {
				f, faults := env.Compile(sources[i%len(sources)])
				if faults != nil {
					t.Error(faults)
					return
				}
				_, _ = f.Eval(lookup(values()))
			}
		})
	}
	shared := compile(t, sources[0])
	for range 8 {
		wait.Go(func() {
			for range 20 {
				if v, err := shared.Eval(lookup(values())); err != nil || v.Str() != "OneTwo" {
					t.Error(v, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestLongListsStayWithinTheCostLimit(t *testing.T) {
	items := make([]stream.Value, 50_000)
	for i := range items {
		items[i] = object("title", text(fmt.Sprint("item ", i)), "level", stream.IntOf(int64(i)))
	}
	m := map[string]stream.Value{"body": object("sections", stream.ListOf(items...))}
	for _, src := range []string{
		`body.sections.map(s, s.title + "\n" + string(s.level)).join("\n").size()`,
		`body.sections.filter(s, s.level % 2 == 0).map(s, {"t": s.title, "l": s.level}).size()`,
	} {
		if _, err := compile(t, src).Eval(lookup(m)); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
}

func BenchmarkConcatenation(b *testing.B) {
	f := compile(b, `body.title + "\n" + other.text`)
	m := map[string]stream.Value{"body": object("title", text("Guide")), "other": object("text", text("some text"))}
	vars := lookup(m)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Eval(vars); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMap(b *testing.B) {
	f := compile(b, `body.sections.map(s, s.title)`)
	vars := lookup(values())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Eval(vars); err != nil {
			b.Fatal(err)
		}
	}
}
