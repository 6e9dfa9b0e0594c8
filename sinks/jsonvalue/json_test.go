package jsonvalue_test

import (
	"testing"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// FuzzParse: what was edited by hand gives an error, never a panic.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`null`, `{"a":[1,2.0,"x"]}`, `[`, `{"at":"2026-01-01T00:00:00.000000000Z"}`, `1 2`, `[[1.0,"NaN"]]`} {
		f.Add(seed)
	}
	types := []stream.Type{stream.TypeDynamic, stream.ListType(stream.VectorType(stream.F32, 2)), stream.TypeTimestamp,
		stream.MapType(stream.Field{Name: "at", Type: stream.TypeTimestamp}, stream.Field{Name: "d", Type: stream.Type{Kind: stream.Decimal}})}
	f.Fuzz(func(t *testing.T, text string) {
		for _, typ := range types {
			v, err := jsonvalue.Parse(text, typ)
			if err != nil {
				continue
			}
			if _, err := jsonvalue.Append(nil, v); err != nil {
				t.Fatalf("%q was read as %s, which can't be written: %v", text, v, err)
			}
		}
	})
}
