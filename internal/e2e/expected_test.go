package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// expected is what Postgres says, as JSON, of a column that the connector wrote as raw: by Debezium's and Connect's
// documentation alone, with none of the code that is being tested.
func expected(t testing.TB, kind string, raw json.RawMessage) any {
	t.Helper()
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	kind = strings.TrimSuffix(kind, "?")
	sent := parsed(t, raw)
	switch {
	case strings.HasPrefix(kind, "list("):
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			t.Fatal(err)
		}
		out := []any{}
		for _, item := range items {
			out = append(out, expected(t, strings.TrimSuffix(strings.TrimPrefix(kind, "list("), ")"), item))
		}
		return out
	case strings.HasPrefix(kind, "decimal("):
		return decimal(t, kind, sent)
	case kind == "bytes":
		return `\x` + hex.EncodeToString(decoded(t, sent.(string)))
	case kind == "timestamp":
		ms, err := sent.(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.999999-07:00")
	case kind == "string":
		if s, ok := sent.(string); ok {
			return s
		}
		return string(raw)
	case kind == "double":
		if n, ok := sent.(json.Number); ok {
			f, _ := n.Float64()
			return json.Number(fmt.Sprint(f))
		}
	}
	return shortNumbers(sent, kind == "dyn")
}

// shortNumbers writes the numbers inside of objects, which may be doubles, in one way; other digits stay.
func shortNumbers(x any, inside bool) any {
	switch x := x.(type) {
	case map[string]any:
		for k, v := range x {
			_, object := v.(map[string]any)
			x[k] = shortNumbers(v, inside || object)
		}
	case json.Number:
		if f, err := x.Float64(); err == nil && inside {
			return json.Number(fmt.Sprint(f))
		}
	}
	return x
}

// decimal reads Connect's Decimal, unscaled bytes in base64 with the declared scale, and VariableScaleDecimal.
func decimal(t testing.TB, kind string, sent any) any {
	t.Helper()
	var scale int
	if _, err := fmt.Sscanf(kind, "decimal(%d)", &scale); err != nil {
		t.Fatal(err)
	}
	have, value := scale, ""
	switch x := sent.(type) {
	case string:
		value = x
	case map[string]any:
		n, err := x["scale"].(json.Number).Int64()
		if err != nil {
			t.Fatal(err)
		}
		have, value = int(n), x["value"].(string)
	}
	digits := decoded(t, value)
	unscaled := new(big.Int).SetBytes(digits)
	if len(digits) > 0 && digits[0] >= 0x80 { // two's complement
		unscaled.Sub(unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(digits))))
	}
	r := new(big.Rat).SetFrac(unscaled, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(have)), nil))
	return json.Number(r.FloatString(scale))
}

func decoded(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parsed reads JSON and keeps the digits of numbers.
func parsed(t testing.TB, raw json.RawMessage) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var x any
	if err := dec.Decode(&x); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return x
}

// text writes a value as JSON, maps in order of key.
func text(t testing.TB, x any) string {
	t.Helper()
	out, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
