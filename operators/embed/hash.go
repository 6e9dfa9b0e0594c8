package embed

import (
	"hash/fnv"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/freshet-dev/freshet/operators/internal/single"
	"github.com/freshet-dev/freshet/stream"
)

const (
	hashDims = 256
	// Of a word's letters at most so many count as its weight: long words say more than short ones.
	longestWeight = 8
	// Words of fewer letters have no trigrams beside themselves.
	shortestWithTrigrams = 4
)

// Hash declares the provider "hash": vectors of 256 dimensions, of hashed words and character trigrams. It knows letters,
// not meanings: it is for trying flows out and for tests. The same text has the same vector on every machine; every
// vector has length 1, that of a text without words too.
func Hash() stream.ProviderSpec {
	return stream.ProviderSpec{
		Name: "hash",
		Doc: "Built in and lexical: 256 dimensions of hashed words and character trigrams. It finds texts that share words " +
			"or parts of words, not meanings; for trying things out. Needs no service and no settings.",
		Dimensions: func(stream.Settings) (int, error) { return hashDims, nil },
		New:        func(stream.Settings) (stream.Operator, error) { return single.Func(hashText), nil },
	}
}

func hashText(in stream.Value) (stream.Value, error) {
	text, err := single.Text("embed by hash", in)
	if err != nil {
		return stream.Value{}, err
	}
	f := features{}
	folded := cases.Fold().String(norm.NFKC.String(text))
	for _, w := range strings.FieldsFunc(folded, func(r rune) bool { return !isWordRune(r) }) {
		f.word(w)
	}
	v, ok := f.vector()
	if !ok { // no words, or features that cancel each other: still a vector that distances are defined for
		f = features{strings.TrimSpace(folded): 1}
		v, _ = f.vector()
	}
	return stream.VectorOf(v), nil
}

func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// features are distinct words and trigrams with their weights: a word counts once, however often a text has it.
type features map[string]int64

func (f features) word(w string) {
	n := utf8.RuneCountInString(w)
	f["word "+w] = int64(min(n, longestWeight))
	if n < shortestWithTrigrams {
		return
	}
	letters := []rune("^" + w + "$")
	for i := 0; i+3 <= len(letters); i++ {
		f["part "+string(letters[i:i+3])] = 1
	}
}

// vector adds the features up and normalises. The sums are of integers and the division is IEEE's, so that no machine
// rounds differently. It is false when all is zero.
func (f features) vector() ([]float32, bool) {
	var sums [hashDims]int64
	for feature, weight := range f {
		h := fnv.New64a()
		_, _ = h.Write([]byte(feature)) // a hash never fails
		bits := mix(h.Sum64())
		if bits>>63 == 1 {
			weight = -weight
		}
		sums[bits%hashDims] += weight
	}
	var squares int64
	for _, s := range sums {
		squares += s * s
	}
	if squares == 0 {
		return nil, false
	}
	length := math.Sqrt(float64(squares))
	out := make([]float32, hashDims)
	for i, s := range sums {
		out[i] = float32(float64(s) / length)
	}
	return out, true
}

// mix spreads FNV's bits, of which the low ones of short texts are alike.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
