package formula_test

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

// The variables of a small flow, and values for them.
var (
	sectionType = stream.MapType(
		stream.Field{Name: "level", Type: stream.TypeInt},
		stream.Field{Name: "text", Type: stream.TypeString},
		stream.Field{Name: "title", Type: stream.TypeString})
	bodyType = stream.MapType(
		stream.Field{Name: "meta", Type: stream.MapType()},
		stream.Field{Name: "sections", Type: stream.ListType(sectionType)},
		stream.Field{Name: "subtitle", Type: stream.TypeString.OrNull()},
		stream.Field{Name: "title", Type: stream.TypeString})
	vars = []formula.Var{
		{Name: "body", Type: bodyType},
		{Name: "n", Type: stream.TypeInt},
		{Name: "x", Type: stream.TypeDouble},
		{Name: "flag", Type: stream.TypeBool},
		{Name: "raw", Type: stream.TypeBytes},
		{Name: "at", Type: stream.TypeTimestamp},
		{Name: "price", Type: stream.Type{Kind: stream.Decimal, Scale: 2}},
		{Name: "fee", Type: stream.Type{Kind: stream.Decimal, Scale: 3}},
		{Name: "v_de", Type: stream.VectorType(stream.F32, 3).OrNull()},
		{Name: "v_en", Type: stream.VectorType(stream.F32, 3).OrNull()},
		{Name: "other", Type: stream.TypeDynamic},
		{Name: "gone", Type: stream.TypeDynamic},
		{Name: "tags", Type: stream.ListType(stream.TypeString).OrNull()},
	}
)

func text(s string) stream.Value { return stream.StringOf(s) }

func object(kv ...any) stream.Value {
	var entries []stream.Entry
	for i := 0; i < len(kv); i += 2 {
		entries = append(entries, stream.Entry{Key: kv[i].(string), Value: kv[i+1].(stream.Value)})
	}
	return stream.MapOf(entries...)
}

func dec(s string) stream.Value {
	v, _ := stream.ParseDecimal(s)
	return v
}

func values() map[string]stream.Value {
	return map[string]stream.Value{
		"body": object(
			"title", text("Guide"),
			"meta", object("draft", stream.BoolOf(true), "b", stream.IntOf(2), "a", stream.IntOf(1)),
			"sections", stream.ListOf(
				object("title", text("One"), "text", text("first"), "level", stream.IntOf(1)),
				object("title", text("Two"), "text", text("second"), "level", stream.IntOf(2)))),
		"n": stream.IntOf(7), "x": stream.DoubleOf(1.5), "flag": stream.BoolOf(true), "raw": stream.BytesOf([]byte("hi")),
		"at":    stream.TimestampOf(time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)),
		"price": dec("12.50"), "fee": dec("0.125"),
		"v_en":  stream.VectorOf([]float32{1, 2, 3}),
		"other": object("k", stream.ListOf(stream.IntOf(1), text("two"))),
		"tags":  stream.ListOf(text("x"), text("y")),
	}
}

func lookup(m map[string]stream.Value) func(string) stream.Value {
	return func(name string) stream.Value { return m[name] }
}

func environment(t testing.TB) *formula.Env {
	t.Helper()
	e, err := formula.NewEnv(vars)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func compile(t testing.TB, src string) *formula.Formula {
	t.Helper()
	f, faults := environment(t).Compile(src)
	if len(faults) > 0 {
		t.Fatalf("%s: %v", src, faults)
	}
	return f
}

func TestEval(t *testing.T) {
	for _, c := range []struct{ src, want, typ string }{
		{`body.title + "\n" + body.sections[0].text`, `"Guide\nfirst"`, "string"},
		{`body.subtitle`, `null`, "string?"},
		{`body.subtitle.or("none")`, `"none"`, "string"},
		{`body.meta.draft.or(false) == false`, `false`, "bool"},
		{`body.meta.lang.or("en")`, `"en"`, "dyn"},
		{`body.meta.a.b.c`, ``, ""}, // an int has no fields
		{`body.meta.none.b.c`, `null`, "dyn"},
		{`body.meta["none"] == null`, `true`, "bool"},
		{`body.meta["a"] + 1`, `2`, "int"},
		{`null == body.title`, `false`, "bool"},
		{`has(body.meta.a) && !has(body.meta.z)`, `true`, "bool"},
		{`has(gone.a.b)`, `false`, "bool"},
		{`gone.a["b"][3].c`, `null`, "dyn"},
		{`body.sections[0].map(k, k)`, `["level", "text", "title"]`, "list(string)"},
		{`body.sections[1].transformList(k, v, v)`, `[2, "second", "Two"]`, "list(dyn)"},
		{`body.sections.map(s, size(s) + s.size())`, `[6, 6]`, "list(int)"},
		{`"title" in body.sections[0] && body.sections[0]["ti" + "tle"] == "One"`, `true`, "bool"},
		{`body.meta.map(k, k)`, `["a", "b", "draft"]`, "list(string)"},
		{`{"z": 1, "a": 2, "m": 3}.map(k, k)`, `["a", "m", "z"]`, "list(string)"},
		{`{"z": 1, "a": 2}.transformList(k, v, k + string(v))`, `["a2", "z1"]`, "list(string)"},
		{`{"z": 1, "a": 2}.transformMap(k, v, v + 1)`, `{"a": 3, "z": 2}`, "map(int)"},
		{`{3: "c", 1: "a", 2: "b"}.map(k, k)`, `[1, 2, 3]`, "list(dyn)"},
		{`body.sections.map(s, s.title).join(", ")`, `"One, Two"`, "string"},
		{`body.sections.filter(s, s.level > 1)`, `[{"level": 2, "text": "second", "title": "Two"}]`,
			"list(map{level: int, text: string, title: string})"},
		{`body.sections.map(s, {"t": s.title, "n": s.level})`, `[{"n": 1, "t": "One"}, {"n": 2, "t": "Two"}]`,
			"list(map{n: int, t: string})"},
		{`body.sections.exists(s, s.title == "Two")`, `true`, "bool"},
		{`body.sections.exists_one(s, s.level == 1)`, `true`, "bool"},
		{`body.sections.all(i, s, i >= 0 && s.level > 0)`, `true`, "bool"},
		{`body.sections`, ``, "list(map{level: int, text: string, title: string})"},
		{`body.sections.sortBy(s, -s.level).map(s, s.title)`, `["Two", "One"]`, "list(string)"},
		{`tags.or([])`, `["x", "y"]`, "list(string)"},
		{`tags`, `["x", "y"]`, "list(string)?"},
		{`tags + ["z"]`, `["x", "y", "z"]`, "list(string)"},
		{`"x" in tags && !("q" in body.meta) && "a" in body.meta`, `true`, "bool"},
		{`dyn(raw) in ["a"] || dyn(raw) in {"a": 1}`, `false`, "bool"},
		{`other.k[1]`, `"two"`, "dyn"},
		{`other.k in [[1, "two"]]`, `true`, "bool"},
		{`v_de.or(v_en)`, ``, "vector(f32, 3)?"},
		{`v_en`, ``, "vector(f32, 3)?"},
		{`v_en == v_de`, `false`, "bool"},
		{`flag ? v_en : v_de`, ``, "vector(f32, 3)?"},
		{`price`, `12.50`, "decimal(2)"},
		{`price + fee`, `12.625`, "decimal(3)"},
		{`price - fee`, `12.375`, "decimal(3)"},
		{`price * fee`, `1.56250`, "decimal(5)"},
		{`price < fee || price >= decimal("12.5")`, `true`, "bool"},
		{`price == decimal("12.5")`, `true`, "bool"},
		{`string(price) + " " + string(double(price))`, `"12.50 12.5"`, "string"},
		{`flag ? "a" : null`, `"a"`, "string?"},
		{`flag ? n : "a"`, ``, ""},
		{`at`, `2024-05-06T07:08:09.123456789Z`, "timestamp"},
		{`timestamp("2024-01-02T03:04:05.000000001Z")`, `2024-01-02T03:04:05.000000001Z`, "timestamp"},
		{`at + duration("1h") > at`, `true`, "bool"},
		{`at.getFullYear()`, `2024`, "int"},
		{`int("12") + int(x)`, `13`, "int"},
		{`raw`, `0x6869`, "bytes"},
		{`base64.encode(raw)`, `"aGk="`, "string"},
		{`math.greatest(n, 3)`, `7`, "int"},
		{`sets.contains(tags, ["x"])`, `true`, "bool"},
		{`"%s has %d".format([body.title, n])`, `"Guide has 7"`, "string"},
		{`"%s".format([{"b": 1, "a": 2}])`, `"{a: 2, b: 1}"`, "string"},
		{`body.title.lowerAscii().replace("g", "G")`, `"Guide"`, "string"},
		{`[]`, `[]`, "list(dyn)"},
		{`{}`, `{}`, "map(dyn)"},
		{`null`, `null`, "null"},
		{`[null, "a"]`, `[null, "a"]`, "list(string?)"},
		{`7u`, `7`, "int"},
		{`1.5`, `1.5`, "double"},
		{`lists.range(3)`, `[0, 1, 2]`, "list(int)"},
		{`size(body.sections) + body.title.size()`, `7`, "int"},
		{"body.`title`", `"Guide"`, "string"},
		{`body.meta.map(k, body.meta[k] == null)`, `[false, false, false]`, "list(bool)"},
	} {
		t.Run(c.src, func(t *testing.T) { checkEval(t, c.src, c.want, c.typ) })
	}
}

func checkEval(t *testing.T, src, want, typ string) {
	f, faults := environment(t).Compile(src)
	if typ == "" && len(faults) > 0 {
		return
	}
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	got, err := f.Eval(lookup(values()))
	if want != "" && (err != nil || got.String() != want) {
		t.Errorf("value %s, %v; want %s", got, err, want)
	}
	if err == nil && !conforms(got, f.Type()) {
		t.Errorf("%s is no %s", got, f.Type())
	}
	if typ != "" && f.Type().String() != typ {
		t.Errorf("type %s, want %s", f.Type(), typ)
	}
}

func TestVectorsPassUnchanged(t *testing.T) {
	got, err := compile(t, "v_de.or(v_en)").Eval(lookup(values()))
	if err != nil || !got.Equal(stream.VectorOf([]float32{1, 2, 3})) {
		t.Error(got, err)
	}
}

func TestFaultsOfCompilation(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`bdy.title`, `1:1: unknown name "bdy": did you mean "body"?`},
		{`body.titel + "x"`, `1:6: unknown field "titel": did you mean "title"?`},
		{"body.title +\n  body.qqqq", `2:8: unknown field "qqqq": there are meta, sections, subtitle, title`},
		{`body.sections.map(s, s.lvel)`, `1:24: unknown field "lvel": did you mean "level"?`},
		{`body.sections.map(part, prt.level)`, `1:25: unknown name "prt": did you mean "part"?`},
		{`siz(tags)`, `1:4: unknown function "siz": did you mean "size"?`},
		{`body.title + 1`, `1:12: found no matching overload for '_+_' applied to '(string, int)'`},
		{`body["titel"]`, `1:6: unknown field "titel": did you mean "title"?`},
		{`bdy + nn`, `1:1: unknown name "bdy": did you mean "body"?; 1:7: unknown name "nn": did you mean "n"?`},
		{`duration("1h")`, `1:1: the result is a duration, which is no value of a flow: convert it, for example with string()`},
		{`now()`, `1:4: unknown function "now"`},
	} {
		_, faults := environment(t).Compile(c.src)
		parts := make([]string, len(faults))
		for i, f := range faults {
			parts[i] = f.Error()
		}
		if got := strings.Join(parts, "; "); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.src, got, c.want)
		}
	}
	for _, src := range []string{"", "1 +", "a b", `"open`, "google.protobuf.Value{}", "x.y.z(", "\x00", "(((", `body{a: 1}`} {
		if f, faults := environment(t).Compile(src); f != nil || len(faults) == 0 {
			t.Errorf("%q compiled", src)
		}
	}
}

func TestFaultsOfEvaluation(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`body.title + body.subtitle`, `1:12: body.subtitle is null, which + can't take: give a default, for example body.subtitle.or("")`},
		{"n +\n gone.count", `1:3: gone.count is null, which + can't take: give a default, for example gone.count.or(0)`},
		{`body.sections[9]`, `1:14: list index 9 is out of range: the list has 2 items`},
		{`gone.map(k, k)`, `1:1: gone is null, which iteration can't take: give a default, for example gone.or([])`},
		{`n / 0`, `1:3: / failed on int and int: division by zero`},
		{`other.k.map(k, k + 1)`, `1:18: + failed on string and int: no such overload`},
		{`gone.or("x") > n`, ``},
		{`timestamp(n * 1000000000000000)`, ``},
		{`{raw: 1}`, ``},
		{`{1: "a"}`, `1:1: a map in the result has the key 1: keys must be strings`},
		{`timestamp("9000-01-01T00:00:00Z")`, `1:1: the timestamp 9000-01-01T00:00:00Z is outside the years 1678 to 2262`},
		{`lists.range(100000).all(a, lists.range(100000).all(b, a + b >= 0))`,
			`1:1: the formula took too many steps (the limit is 10 million): iterate over less, or filter first`},
	} {
		f, faults := environment(t).Compile(c.src)
		if len(faults) > 0 {
			t.Errorf("%s: %v", c.src, faults)
			continue
		}
		v, err := f.Eval(lookup(values()))
		var fault formula.Fault
		if !errors.As(err, &fault) || stream.KindOf(err) != stream.Invalid {
			t.Errorf("%s gave %v, %v", c.src, v, err)
			continue
		}
		if c.want != "" && fault.Error() != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.src, fault, c.want)
		}
	}
}

func TestNewEnvRefuses(t *testing.T) {
	for _, names := range [][]string{{"a.b"}, {""}, {"a", "a"}, {"in"}, {"1a"}, {"@x"}} {
		var vs []formula.Var
		for _, n := range names {
			vs = append(vs, formula.Var{Name: n, Type: stream.TypeInt})
		}
		if _, err := formula.NewEnv(vs); stream.KindOf(err) != stream.Usage {
			t.Errorf("%q: %v", names, err)
		}
	}
}

func TestRefs(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`body.title + body["title"] + body.meta.lang.or("en")`, `[{body [meta lang]} {body [title]}]`},
		{`body.sections.map(s, s.title + string(n))`, `[{body [sections]} {n []}]`},
		{`body.sections[n].title`, `[{body [sections]} {n []}]`},
		{`has(body.meta.x) ? tags : [body.title]`, `[{body [meta x]} {body [title]} {tags []}]`},
		{`tags.map(n, n)`, `[{tags []}]`},
		{`v_de.or(v_en)`, `[{v_de []} {v_en []}]`},
		{`math.abs(n)`, `[{n []}]`},
		{`1 + 2`, `[]`},
		{`tags.map(n, .n)`, `[{n []} {tags []}]`},
	} {
		if got := fmt.Sprint(compile(t, c.src).Refs()); got != c.want {
			t.Errorf("%s: %s, want %s", c.src, got, c.want)
		}
	}
}

func TestDecimalBounds(t *testing.T) {
	huge := map[string]stream.Value{"price": stream.DecimalOf(big.NewInt(1), 1<<40), "fee": dec("1")}
	for _, src := range []string{"price + fee", "price * fee", "price < fee", "string(price)", "double(price)"} {
		if _, err := compile(t, src).Eval(lookup(huge)); stream.KindOf(err) != stream.Invalid {
			t.Errorf("%s: %v", src, err)
		}
	}
}
