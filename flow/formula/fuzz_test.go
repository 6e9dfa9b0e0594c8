package formula_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

// FuzzFormula checks that any text is either refused or compiled, and that what compiles never panics: the library would
// report a panic as an error of another kind.
func FuzzFormula(f *testing.F) {
	for _, src := range []string{`body.title + "\n" + other.text`, `tags.map(a, {a: n})`, `raw in {"a": 1}`, `other.k[n].or(at)`,
		`{price: 1}`, `"%s %d %x".format([other, n, raw])`, `other.transformMapEntry(k, v, {v: k})`, `at.getHours("Europe/Paris")`,
		`sets.contains(tags, other)`, `body.sections.sortBy(s, other)`, `[1].flatten().distinct()[n]`, `"a".substring(n, -1)`,
		`double("1e400") / 0.0`, `int(1e30)`, `type(n) == int`, `timestamp(9223372036854775807)`, `other.matches("[")`,
		`"x".split("").join(other)`, `math.bitShiftLeft(n, 99)`, `base64.decode("%")`, `duration("1h") + other`, "body.`a b`"} {
		f.Add(src)
	}
	env := environment(f)
	inputs := []map[string]stream.Value{values(), {}}
	for _, odd := range []stream.Value{stream.BytesOf([]byte("b")), stream.ListOf(stream.Value{}), stream.IntOf(-1), dec("1.0")} {
		m := map[string]stream.Value{}
		for _, v := range vars {
			m[v.Name] = odd
		}
		inputs = append(inputs, m)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if len(src) > 300 {
			return
		}
		compiled, faults := env.Compile(src)
		if (compiled == nil) != (len(faults) > 0) {
			t.Fatalf("formula %v with faults %v", compiled, faults)
		}
		if compiled == nil {
			return
		}
		compiled.Refs()
		compiled.Canonical(func(name string) string { return name })
		for _, m := range inputs {
			if _, err := compiled.Eval(lookup(m)); err != nil && stream.KindOf(err) != stream.Invalid {
				t.Fatalf("%s: %v", src, err)
			}
		}
	})
}

// grammar draws formulas from names, literals, operators, methods and macros.
func grammar(depth int, names []string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		sub := func() string { return grammar(depth-1, names).Draw(t, "part") }
		dyn := rapid.SampledFrom([]string{"dyn(", "("}).Draw(t, "checked")
		if depth == 0 {
			atoms := append([]string{"null", "1", "-7", "2.5", `"s"`, `b"b"`, "true", "3u", "[]", "{}", `duration("1s")`}, names...)
			return rapid.SampledFrom(atoms).Draw(t, "atom")
		}
		switch rapid.IntRange(0, 9).Draw(t, "shape") {
		case 0, 1:
			op := rapid.SampledFrom([]string{"+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"}).Draw(t, "op")
			return dyn + sub() + ") " + op + " " + dyn + sub() + ")"
		case 2:
			return dyn + sub() + ")." + rapid.SampledFrom([]string{"title", "k", "meta"}).Draw(t, "field")
		case 3:
			return dyn + sub() + ")[" + dyn + sub() + ")]"
		case 4:
			return dyn + sub() + ").or(" + sub() + ")"
		case 5:
			return "[" + sub() + ", " + sub() + "]"
		case 6:
			return "{" + dyn + sub() + "): " + sub() + "}"
		case 7:
			macro := rapid.SampledFrom([]string{"map", "filter", "all", "exists", "exists_one", "transformList(i,", "transformMap(i,",
				"transformMapEntry(i,", "sortBy"}).Draw(t, "macro")
			body := grammar(depth-1, append(slices.Clone(names), "e")).Draw(t, "body")
			if macro[len(macro)-1] != ',' {
				macro += "("
			}
			return dyn + sub() + ")." + macro + "e, " + dyn + body + "))"
		case 8:
			call := rapid.SampledFrom([]string{"size", "string", "int", "double", "decimal", "timestamp", "bytes", "bool", "uint", "type",
				"math.abs", "math.greatest", "base64.encode", "has", "!", "-", "lists.range"}).Draw(t, "function")
			return call + "(" + dyn + sub() + "))"
		}
		method := rapid.SampledFrom([]string{"join", "distinct", "reverse", "sort", "flatten", "lowerAscii", "size", "getHours",
			"trim", "first", "last"}).Draw(t, "method")
		return dyn + sub() + ")." + method + "()"
	})
}

func TestGeneratedFormulas(t *testing.T) {
	env := environment(t)
	names := make([]string, len(vars))
	for i, v := range vars {
		names[i] = v.Name
	}
	compiled := 0
	rapid.Check(t, func(t *rapid.T) {
		src := grammar(rapid.IntRange(0, 4).Draw(t, "depth"), names).Draw(t, "formula")
		f, faults := env.Compile(src)
		if faults != nil {
			return
		}
		compiled++
		m := values()
		m["other"] = anyValue(2).Draw(t, "other")
		v, err := f.Eval(lookup(m))
		if err != nil && stream.KindOf(err) != stream.Invalid {
			t.Fatalf("%s: %v", src, err)
		}
		if err == nil && !conforms(v, f.Type()) {
			t.Fatalf("%s gave %s, which is no %s", src, v, f.Type())
		}
	})
	if compiled == 0 {
		t.Error("no generated formula compiled")
	}
}

// conforms reports whether v is a value of type t.
func conforms(v stream.Value, t stream.Type) bool {
	if v.IsNull() {
		return t.Nullable || t.Kind == stream.Null || t.Kind == stream.Dynamic
	}
	if t.Kind == stream.Dynamic {
		return true
	}
	if v.Kind() != t.Kind {
		return false
	}
	for i := range v.Len() {
		switch {
		case t.Kind == stream.List && !conforms(v.At(i), *t.Elem):
			return false
		case t.Kind == stream.Map && t.Fields != nil:
			if ft, ok := t.FieldType(v.KeyAt(i)); !ok || !conforms(v.At(i), ft) {
				return false
			}
		case t.Kind == stream.Map && t.Elem != nil && !conforms(v.At(i), *t.Elem):
			return false
		}
	}
	return true
}
