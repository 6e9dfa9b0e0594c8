package split

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/stream"
)

func with(maxTokens, overlap int) stream.Settings {
	return stream.Settings{Values: stream.MapOf(
		stream.Entry{Key: "max_tokens", Value: stream.IntOf(int64(maxTokens))},
		stream.Entry{Key: "overlap", Value: stream.IntOf(int64(overlap))},
		stream.Entry{Key: "encoding", Value: stream.StringOf("cl100k_base")})}
}

var background = context.Background()

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func split(t failer, spec stream.OperatorSpec, s stream.Settings, in stream.Value) []stream.Value {
	t.Helper()
	op, err := spec.New(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	out, err := op.Apply(background, []stream.Value{in})
	if err != nil {
		t.Fatalf("%v", err)
	}
	chunks := make([]stream.Value, out[0].Len())
	for i := range chunks {
		chunks[i] = out[0].At(i)
	}
	return chunks
}

func texts(chunks []stream.Value) []string {
	out := make([]string, len(chunks))
	for i, c := range chunks {
		out[i] = c.Field("text").Str()
	}
	return out
}

func TestMarkdown(t *testing.T) {
	long := strings.Repeat("Nine words make this sentence about one dull thing. ", 6)
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", `[]`},
		{"headings cut", "before\n\n# A\n\ntext\n## B\n", `["before" "# A\n\ntext" "## B"]`},
		{"blocks stay whole", "# A\n\n" + strings.Repeat("one two three\n", 3) + "\n" + strings.Repeat("- item of a list\n", 4),
			`["# A\n\none two three\none two three\none two three" "- item of a list\n- item of a list\n- item of a list\n- item of a list"]`},
		{"sentences", "# A\n\n" + long[:len(long)-1], `["# A\n\nNine words make this sentence about one dull thing. Nine words make this sentence about one dull thing." "Nine words make this sentence about one dull thing. Nine words make this sentence about one dull thing. Nine words make this sentence about one dull thing." "Nine words make this sentence about one dull thing."]`},
		{"marks", "\ufeff# A\r\n\r\nb\r\n", `["# A\r\n\r\nb"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := fmt.Sprintf("%q", texts(split(t, Markdown(), with(32, 0), stream.StringOf(c.in))))
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestChunkFields(t *testing.T) {
	const in = "---\ntitle: T\n---\n# A\n\nx\n\n## B\n\nx\n\n## B\n\nx\n"
	parsed := stream.MapOf(
		stream.Entry{Key: "offset", Value: stream.IntOf(17)},
		stream.Entry{Key: "text", Value: stream.StringOf(in[17:])})
	chunks := split(t, Markdown(), with(256, 0), parsed)
	want := `{"heading": "B", "id": "ba680c69d02273fe-2", "index": 2, "path": ["A", "B"], "span": {"end": 41, "start": 34}, "text": "## B\n\nx", "tokens": 4}`
	if got := chunks[2].String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	checkSpans(t, in, chunks)
}

func TestText(t *testing.T) {
	in := "One two three four five six.\nSeven eight nine ten.\n\nEleven twelve thirteen.\n \n\n\n# fourteen fifteen sixteen seventeen"
	got := fmt.Sprintf("%q", texts(split(t, Text(), with(16, 0), stream.StringOf(in))))
	want := `["One two three four five six.\nSeven eight nine ten." "Eleven twelve thirteen.\n \n\n\n# fourteen fifteen sixteen seventeen"]`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestOverlap(t *testing.T) {
	in := strings.TrimSpace(strings.Repeat("alpha beta gamma delta. ", 20))
	chunks := split(t, Text(), with(24, 6), stream.StringOf(in))
	for i, c := range chunks[1:] {
		before := chunks[i].Field("span").Field("end").Int()
		start := c.Field("span").Field("start").Int()
		if start >= before || before-start > 40 || c.Field("tokens").Int() > 24 {
			t.Errorf("chunk %d: starts at %d, the one before ends at %d: %s", i+1, start, before, c)
		}
	}
	checkSpans(t, in, chunks)
}

// One operator cuts many documents at the same time.
func TestConcurrent(t *testing.T) {
	op, err := Markdown().New(with(32, 8))
	if err != nil {
		t.Fatal(err)
	}
	in := []stream.Value{stream.StringOf("# A\n\n" + strings.Repeat("Some words, and 42 more.\n\n", 50))}
	want, err := op.Apply(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			got, err := op.Apply(t.Context(), in)
			if err == nil && !got[0].Equal(want[0]) {
				err = fmt.Errorf("got %s, want %s", got[0], want[0])
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	for _, spec := range []stream.OperatorSpec{Markdown(), Text()} {
		for _, in := range []stream.Type{stream.TypeInt, stream.ListType(stream.TypeString),
			stream.MapType(stream.Field{Name: "body", Type: stream.TypeString})} {
			if _, err := spec.Output(in, with(64, 0)); err == nil {
				t.Errorf("%s accepts %s", spec.Name, in)
			}
		}
		if _, err := spec.Output(stream.TypeString, with(64, 33)); err == nil {
			t.Errorf("%s accepts an overlap of more than half", spec.Name)
		}
		if _, err := spec.New(with(64, 33)); err == nil {
			t.Errorf("%s makes an operator with an overlap of more than half", spec.Name)
		}
		parsed := stream.MapType(
			stream.Field{Name: "offset", Type: stream.TypeInt},
			stream.Field{Name: "text", Type: stream.TypeString})
		for _, in := range []stream.Type{stream.TypeString, stream.TypeDynamic, parsed, parsed.OrNull(), stream.MapType()} {
			if out, err := spec.Output(in, with(64, 32)); err != nil || out.Kind != stream.List {
				t.Errorf("%s of %s: %v, %v", spec.Name, in, out, err)
			}
		}
	}
}

// checkSpans: texts are what their spans name; IDs are unique; positions rise.
func checkSpans(t failer, source string, chunks []stream.Value) {
	t.Helper()
	seen := map[string]bool{}
	for i, c := range chunks {
		start, end := c.Field("span").Field("start").Int(), c.Field("span").Field("end").Int()
		if start < 0 || end < start || int(end) > len(source) || source[start:end] != c.Field("text").Str() {
			t.Fatalf("chunk %d: span %d to %d of %d bytes is not its text %q", i, start, end, len(source), c.Field("text").Str())
		}
		if id := c.Field("id").Str(); seen[id] || c.Field("index").Int() != int64(i) {
			t.Fatalf("chunk %d: index %d, ID %s", i, c.Field("index").Int(), id)
		}
		seen[c.Field("id").Str()] = true
	}
}

// checkCover: without overlap, every byte that isn't blank is in exactly one chunk.
func checkCover(t failer, source string, chunks []stream.Value) {
	t.Helper()
	at := int64(0)
	for _, c := range append(chunks, stream.MapOf(stream.Entry{Key: "span", Value: stream.MapOf(
		stream.Entry{Key: "start", Value: stream.IntOf(int64(len(source)))})})) {
		start := c.Field("span").Field("start").Int()
		if start < at {
			t.Fatalf("a chunk starts at %d, the one before ends at %d", start, at)
		}
		if lost := strings.TrimPrefix(source[at:start], "\ufeff"); strings.TrimSpace(lost) != "" {
			t.Fatalf("in no chunk: %q", lost)
		}
		at = c.Field("span").Field("end").Int()
	}
}

// checkSize: no chunk has more tokens than allowed, and tokens says how many.
func checkSize(t failer, most int, chunks []stream.Value) {
	t.Helper()
	count, _ := counterOf("cl100k_base")
	for _, c := range chunks {
		n, _ := count(c.Field("text").Str())
		if n > most || int64(n) != c.Field("tokens").Int() {
			t.Fatalf("a chunk has %d tokens, says %d, at most %d: %q", n, c.Field("tokens").Int(), most, c.Field("text").Str())
		}
	}
}

var (
	drawWord  = rapid.StringMatching(`[a-zA-Zé世.]{1,9}|[0-9]{1,30}|[,!?;]`)
	drawLine  = rapid.Map(rapid.SliceOfN(drawWord, 1, 40), func(w []string) string { return "w" + strings.Join(w, " ") })
	drawBlock = rapid.Custom(func(t *rapid.T) string {
		lines := strings.Join(rapid.SliceOfN(drawLine, 1, 6).Draw(t, "lines"), "\n")
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return "```\n# " + lines + "\n```"
		case 1:
			return "- " + strings.ReplaceAll(lines, "\n", "\n- ")
		}
		return lines
	})
	drawBody    = rapid.Map(rapid.SliceOfN(drawBlock, 0, 6), func(b []string) string { return strings.Join(b, "\n\n") })
	drawSection = rapid.Custom(func(t *rapid.T) string {
		level := rapid.IntRange(1, 4).Draw(t, "level")
		return strings.Repeat("#", level) + " " + drawWord.Draw(t, "title") + "\n\n" + drawBody.Draw(t, "body") + "\n\n"
	})
)

// An edit inside one section moves no boundary of another.
func TestEditStaysInItsSection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sections := rapid.SliceOfN(drawSection, 2, 5).Draw(t, "sections")
		edited := rapid.IntRange(0, len(sections)-1).Draw(t, "edited")
		most := rapid.IntRange(16, 64).Draw(t, "most")
		chunks := func() []stream.Value {
			return split(t, Markdown(), with(most, 0), stream.StringOf(strings.Join(sections, "")))
		}
		before, cut := chunks(), len(strings.Join(sections[:edited], ""))
		tail := len(strings.Join(sections[edited+1:], ""))
		outside := func(chunks []stream.Value, total int) (out []string) {
			for _, c := range chunks {
				start, end := int(c.Field("span").Field("start").Int()), int(c.Field("span").Field("end").Int())
				if end <= cut || start >= total-tail {
					out = append(out, c.Field("text").Str())
				}
			}
			return out
		}
		was := outside(before, len(strings.Join(sections, "")))
		heading, _, _ := strings.Cut(sections[edited], "\n")
		sections[edited] = heading + "\n\n" + drawBody.Draw(t, "edit") + "\n\n"
		is := outside(chunks(), len(strings.Join(sections, "")))
		if fmt.Sprintf("%q", was) != fmt.Sprintf("%q", is) {
			t.Fatalf("other sections were\n%q\nand are\n%q", was, is)
		}
	})
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := drawBody.Draw(t, "first") + "\n\n" + strings.Join(rapid.SliceOfN(drawSection, 0, 4).Draw(t, "sections"), "")
		most := rapid.IntRange(16, 80).Draw(t, "most")
		overlap := rapid.IntRange(0, most/2).Draw(t, "overlap")
		for _, spec := range []stream.OperatorSpec{Markdown(), Text()} {
			checkAll(t, spec, source, most, overlap)
		}
	})
}

func checkAll(t failer, spec stream.OperatorSpec, source string, most, overlap int) {
	t.Helper()
	plain := split(t, spec, with(most, 0), stream.StringOf(source))
	checkSpans(t, source, plain)
	checkCover(t, source, plain)
	checkSize(t, most, plain)
	lapped := split(t, spec, with(most, overlap), stream.StringOf(source))
	checkSpans(t, source, lapped)
	checkSize(t, most, lapped)
}

func FuzzSplit(f *testing.F) {
	f.Add("# A\n\ntext\n\n- l\n  - m\n\n\tcode\n", uint8(16), uint8(4))
	f.Add("\ufeffa\r\n\r\n\x00\xff\xfe "+strings.Repeat("x", 500)+"\u00a0\u2003y\u0085", uint8(20), uint8(10))
	f.Add(strings.Repeat("🏳️‍🌈é世", 40), uint8(16), uint8(8))
	f.Fuzz(func(t *testing.T, source string, most, overlap uint8) {
		m := 16 + int(most)
		for _, spec := range []stream.OperatorSpec{Markdown(), Text()} {
			checkAll(t, spec, source, m, min(int(overlap), m/2))
		}
	})
}

func BenchmarkCount(b *testing.B) {
	text := strings.Repeat("The quick brown fox jumps over the lazy dog, `code` and all. ", 20)
	for name, e := range encodings {
		codec, err := e.load()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/new", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, _ = codec.Count(text)
			}
		})
		b.Run(name+"/known", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				_, _ = e.count(text)
			}
		})
	}
}

// Counts are right whether they are remembered, forgotten or new.
func TestCountsAreForgotten(t *testing.T) {
	e := newEncoding("cl100k_base")
	text := strings.Repeat("word ", 20)
	want, _ := e.count(text)
	for i := range 2*mostKept + 10 {
		if i%mostKept == 0 {
			if n, err := e.count(text); n != want || err != nil {
				t.Fatalf("%d: %d tokens, %v, want %d", i, n, err, want)
			}
		}
		e.keep(stream.FingerprintBytes(fmt.Append(nil, i)), i)
		if len(e.young) > mostKept || len(e.old) > mostKept {
			t.Fatalf("%d and %d counts are kept", len(e.young), len(e.old))
		}
	}
	if _, known := e.recall(stream.FingerprintBytes([]byte("0"))); known {
		t.Error("a count is never forgotten")
	}
}

func BenchmarkMarkdown(b *testing.B) {
	var page strings.Builder
	for i := range 20 {
		fmt.Fprintf(&page, "## Section %d\n\n", i)
		for j := range 8 {
			page.WriteString(strings.Repeat(fmt.Sprintf("Sentence %d of paragraph %d. ", i, j), 8) + "\n\n")
		}
	}
	op, _ := Markdown().New(with(256, 0))
	in := []stream.Value{stream.StringOf(page.String())}
	b.SetBytes(int64(page.Len()))
	for b.Loop() {
		if _, err := op.Apply(background, in); err != nil {
			b.Fatal(err)
		}
	}
}
