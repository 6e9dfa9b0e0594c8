package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
)

// row is one write of a row. Of two writes with the same table, document and key, the one with the higher offset holds.
type row struct {
	Table    string          `json:"table"`
	Document string          `json:"document"`
	Key      string          `json:"key"`
	Offset   int64           `json:"offset"`
	Unit     string          `json:"unit"` // "i/n": the i-th of the n records that one change of the document caused
	Deleted  bool            `json:"deleted,omitempty"`
	Columns  map[string]any  `json:"columns,omitempty"`
	Lineage  json.RawMessage `json:"lineage,omitempty"`
}

// decode reads a record; isRow is false for control marks, which have no table.
func decode(codec *goavro.Codec, r *kgo.Record) (out row, isRow bool, err error) {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	if headers["freshet.table"] == "" {
		return out, false, nil
	}
	if f := headers["freshet.format"]; f != "1" {
		return out, false, fmt.Errorf("format %q is not known to this program", f)
	}
	var key [3]string // table, document, key
	if err := json.Unmarshal(r.Key, &key); err != nil {
		return out, false, fmt.Errorf("record key: %w", err)
	}
	out = row{Table: key[0], Document: key[1], Key: key[2], Offset: r.Offset, Unit: headers["freshet.unit"]}
	if r.Value == nil {
		out.Deleted = true
		return out, true, nil
	}
	native, _, err := codec.NativeFromBinary(r.Value)
	if err != nil {
		return out, false, err
	}
	record := native.(map[string]any)
	out.Lineage = json.RawMessage(record["lineage"].(string))
	out.Columns = plainMap(record["columns"].(map[string]any))
	return out, true, nil
}

func plainMap(values map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for name, v := range values {
		out[name] = plain(v)
	}
	return out
}

// plain takes goavro's wrapping off a Value: {"value": {"<branch>": content}}.
func plain(value any) any {
	union, _ := value.(map[string]any)["value"].(map[string]any) // nil: null
	for branch, content := range union {
		switch branch {
		case "boolean", "long", "string":
			return content
		case "double":
			return number(content.(float64))
		case "bytes":
			return base64.StdEncoding.EncodeToString(content.([]byte))
		}
		return composite(branch, content.(map[string]any))
	}
	return nil
}

func composite(branch string, fields map[string]any) any {
	switch branch {
	case "dev.freshet.Decimal":
		return decimal(fields["unscaled"].([]byte), int(fields["scale"].(int32)))
	case "dev.freshet.Timestamp":
		return time.Unix(0, fields["nanos"].(int64)).UTC().Format(time.RFC3339Nano)
	case "dev.freshet.List":
		items := fields["items"].([]any)
		out := make([]any, len(items))
		for i := range items {
			out[i] = plain(items[i])
		}
		return out
	case "dev.freshet.Map":
		return plainMap(fields["entries"].(map[string]any))
	case "dev.freshet.Vector":
		if fields["element"] == "f32" {
			return floats(fields["data"].([]byte))
		}
	}
	return fields // halves, bytes, sparse and multivectors: as they are
}

// number keeps what JSON has no number for as text.
func number(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprint(f)
	}
	return f
}

// decimal renders unscaled · 10^-scale.
func decimal(unscaled []byte, scale int) string {
	n := new(big.Int).SetBytes(unscaled)
	if len(unscaled) > 0 && unscaled[0]&0x80 != 0 { // two's complement
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
	}
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil)
	if scale < 0 {
		return n.Mul(n, power).String()
	}
	return new(big.Rat).SetFrac(n, power).FloatString(scale)
}

func floats(data []byte) []float32 {
	out := make([]float32, len(data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return out
}
