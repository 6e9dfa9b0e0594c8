package qdrant

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/qdrant/go-client/qdrant"
	"pgregory.net/rapid"
)

// TestShortDoubles: what counts as short survives the arithmetic by which a server reads doubles.
func TestShortDoubles(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := float64(rapid.Int64Range(-1e15, 1e15).Draw(r, "digits")) * math.Pow10(rapid.IntRange(-30, 30).Draw(r, "power"))
		if !isShort(f) {
			return
		}
		if got := readAsServers(f); got != f {
			r.Fatalf("%v is read as %v", f, got)
		}
	})
	for _, f := range []float64{0, 1, -2.5, 0.1, 1234.56, 1e10} {
		if !isShort(f) {
			t.Errorf("%v counts as long", f)
		}
	}
	if isShort(1.0/3) || isShort(1e-300) {
		t.Error("what needs all its digits counts as short")
	}
}

// readAsServers makes a whole number of the digits, then one multiplication or division.
func readAsServers(f float64) float64 {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	power, _ := strconv.Atoi(exponent)
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits, _ := strconv.ParseFloat(whole+fraction, 64)
	if power -= len(fraction); power < 0 {
		return digits / math.Pow10(-power)
	}
	return digits * math.Pow10(power)
}

// TestEscapes: names come back, and hold nothing that Qdrant refuses.
func TestEscapes(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		name := rapid.String().Draw(r, "name")
		got := escaped(name)
		if unescaped(got) != name || strings.ContainsAny(got, "<>:\"/\\|?*\x00\x1f") || got == "." || got == ".." {
			r.Fatalf("%q becomes %q", name, got)
		}
	})
}

// TestOwnIndexes: what the sink's conditions need on a strict server is made there, and nothing but the tombstones' index elsewhere.
func TestOwnIndexes(t *testing.T) {
	yes, no := qdrant.PtrOf(true), qdrant.PtrOf(false)
	all := []string{"_at", "_deleted", "_epoch", "_partition", "_version"}
	for name, c := range map[string]struct {
		strict *qdrant.StrictModeConfig
		want   []string
	}{
		"none":                    {nil, []string{"_deleted"}},
		"off":                     {&qdrant.StrictModeConfig{Enabled: no, UnindexedFilteringUpdate: no}, []string{"_deleted"}},
		"on, and about sizes":     {&qdrant.StrictModeConfig{Enabled: yes, UnindexedFilteringUpdate: yes}, []string{"_deleted"}},
		"refuses it to changes":   {&qdrant.StrictModeConfig{Enabled: yes, UnindexedFilteringUpdate: no}, all},
		"refuses it to searching": {&qdrant.StrictModeConfig{Enabled: yes, UnindexedFilteringRetrieve: no}, all},
	} {
		if got := slices.Sorted(maps.Keys(ownIndexes(c.strict))); !slices.Equal(got, c.want) {
			t.Errorf("strict mode %s: indexes %q, want %q", name, got, c.want)
		}
	}
}
