package embed_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/freshet-dev/freshet/operators/embed"
	"github.com/freshet-dev/freshet/stream"
)

func hashModel(t testing.TB) stream.Operator {
	t.Helper()
	provider := embed.Hash()
	op, err := embed.Spec().New(stream.Settings{Model: &stream.Model{Name: "lexical", Provider: &provider}})
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func cosine(a, b []float32) (sum float64) {
	for i := range a {
		sum += float64(a[i]) * float64(b[i])
	}
	return sum
}

// The vectors are part of what memos hold, and equal on every machine.
func TestHashIsFixed(t *testing.T) {
	for text, want := range map[string]string{
		"":             "a7500103687afc795558a5d339132ff5",
		"Hello, wörld": "3efe8adeec77609f0318e8906bb285db",
	} {
		out, err := hashModel(t).Apply(t.Context(), texts(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.FingerprintOf(out[0]).String(); got != want {
			t.Errorf("%q: the vector's fingerprint is %s, was %s", text, got, want)
		}
	}
}

func TestHashFinds(t *testing.T) {
	pages := []string{
		"A consumer group divides the partitions of a topic among its members, and rebalances when one of them leaves.",
		"The sink writes rows with guarded upserts, so that a stale writer changes nothing.",
		"Markdown is cut at headings and paragraphs; no chunk has more tokens than the limit.",
		"Backups are taken every night and kept for a month.",
	}
	for query, want := range map[string]int{
		"rebalancing of consumers": 0, "STALE WRITERS": 1, "how many tokens has a chunk": 2, "nightly backup": 3,
	} {
		out, err := hashModel(t).Apply(t.Context(), texts(append(pages, query)...))
		if err != nil {
			t.Fatal(err)
		}
		best, q := 0, out[len(pages)].Floats()
		for i := range pages {
			if cosine(q, out[i].Floats()) > cosine(q, out[best].Floats()) {
				best = i
			}
		}
		if best != want {
			t.Errorf("%q finds page %d, want %d", query, best, want)
		}
	}
}

func TestHashLaws(t *testing.T) {
	op := hashModel(t)
	if _, batches := op.(stream.Batcher); batches {
		t.Error("hash needs no batches")
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		spaced := text
		if strings.ContainsFunc(text, unicode.IsLetter) { // a text without words is taken as it is, but for its ends
			spaced = strings.ReplaceAll(text, " ", "\n")
		}
		out, err := op.Apply(background, texts(text, "  "+spaced+"\t"))
		if err != nil {
			t.Fatal(err)
		}
		v := out[0].Floats()
		if length := cosine(v, v); len(v) != 256 || math.Abs(length-1) > 1e-5 {
			t.Fatalf("%d dimensions, squared length %v", len(v), length)
		}
		if !out[0].Equal(out[1]) {
			t.Fatal("white space changes the vector")
		}
	})
}

func TestSpecOutput(t *testing.T) {
	hash, openAI := embed.Hash(), embed.OpenAI()
	use := func(p *stream.ProviderSpec, s stream.Settings) stream.Settings {
		return stream.Settings{Model: &stream.Model{Name: "m", Provider: p, Settings: s}}
	}
	for want, s := range map[string]stream.Settings{
		"vector(f32, 256)": use(&hash, stream.Settings{}), "vector(f32, 2)": use(&openAI, settings()),
	} {
		out, err := embed.Spec().Output(stream.TypeString.OrNull(), s)
		if err != nil || out.String() != want {
			t.Errorf("got %s, %v, want %s", out, err, want)
		}
	}
	for name, err := range map[string]error{
		"int":           second(embed.Spec().Output(stream.TypeInt, use(&hash, stream.Settings{}))),
		"no model":      second(embed.Spec().Output(stream.TypeString, stream.Settings{})),
		"no dimensions": second(embed.Spec().Output(stream.TypeString, use(&openAI, stream.Settings{}))),
		"new":           second(embed.Spec().New(stream.Settings{})),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

var background = context.Background()

func second[T any](_ T, err error) error { return err }

func BenchmarkHash(b *testing.B) {
	op := hashModel(b)
	in := texts(strings.Repeat("The quick brown fox jumps over the lazy dog. ", 20))
	for b.Loop() {
		if _, err := op.Apply(background, in); err != nil {
			b.Fatal(err)
		}
	}
}
