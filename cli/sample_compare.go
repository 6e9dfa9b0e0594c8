package cli

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// compareDocument compares the rows that a document has, of which the rows topic has rows, with those that it would have.
func compareDocument(e engine.Sampled, rows map[stream.RowID]wroteRow, tables map[string]stream.Table) sampledDocument {
	d := sampledDocument{Document: e.Document, Same: map[string]int{}, Rows: []sampledRow{}}
	if e.Refused != nil {
		d.Refused = e.Refused.Error()
		return d
	}
	held := map[stream.RowID]stream.Fingerprint{}
	for _, r := range e.Held {
		held[stream.RowID{Table: r.Table, Document: e.Document, Key: r.Key}] = r.Fingerprint
	}
	for _, r := range e.Rows {
		id := stream.RowID{Table: r.Table, Document: e.Document, Key: r.Key}
		version, had := held[id]
		delete(held, id)
		if had && version == r.Fingerprint() {
			d.Same[r.Table]++
			continue
		}
		row := sampledRow{Table: r.Table, Key: r.Key, Change: rowAdded}
		if had {
			row.Change, d.Moved = rowChanged, d.Moved || !rows[id].current
		}
		row.Columns = compareColumns(rows[id].columns, namedColumns(tables[r.Table], r.Columns))
		d.Rows = append(d.Rows, row)
	}
	for id := range held {
		d.Moved = d.Moved || !rows[id].current
		d.Rows = append(d.Rows, sampledRow{id.Table, id.Key, rowRemoved, compareColumns(rows[id].columns, nil)})
	}
	slices.SortFunc(d.Rows, rowOrder)
	return d
}

func namedColumns(t stream.Table, values []stream.Value) []stream.Entry {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return entriesOf(names, values)
}

// compareColumns compares columns of the same name, and returns those that differ.
func compareColumns(old, now []stream.Entry) map[string]sampledColumn {
	out := map[string]sampledColumn{}
	for _, e := range old {
		out[e.Key] = sampledColumn{Old: &control.Value{Value: e.Value}}
	}
	for _, e := range now {
		c := out[e.Key]
		c.New = &control.Value{Value: e.Value}
		if c.Old != nil && c.Old.Equal(e.Value) {
			delete(out, e.Key)
			continue
		}
		if c.Old != nil {
			c.judge()
		}
		out[e.Key] = c
	}
	return out
}

// judge says how far two values are apart, where that can be said.
func (c *sampledColumn) judge() {
	old, now := c.Old.Value, c.New.Value
	if old.Kind() == stream.String && now.Kind() == stream.String {
		c.Diff = textDiff(old.Str(), now.Str())
		return
	}
	if cos, ok := cosine(old, now); ok {
		c.Cosine = &cos
	}
}

// cosine is that of two dense vectors of the same dimensions, whatever their elements are; false when there is none.
func cosine(a, b stream.Value) (float64, bool) {
	if a.Kind() != stream.Vector || b.Kind() != stream.Vector || a.Dims() != b.Dims() {
		return 0, false
	}
	var ab, aa, bb float64
	y := components(b)
	for i, x := range components(a) {
		ab, aa, bb = ab+x*y[i], aa+x*x, bb+y[i]*y[i]
	}
	cos := ab / math.Sqrt(aa*bb)
	return max(-1, min(cos, 1)), !math.IsNaN(cos) && !math.IsInf(cos, 0)
}

// components are a dense vector's elements.
func components(v stream.Value) []float64 {
	raw, size := []byte(v.Raw()), v.Elem().Size()
	out := make([]float64, 0, v.Dims())
	for ; len(raw) >= size; raw = raw[size:] {
		switch v.Elem() {
		case stream.F32:
			out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
		case stream.F16:
			out = append(out, float64(jsonvalue.Single(binary.LittleEndian.Uint16(raw))))
		default:
			out = append(out, float64(int8(raw[0])))
		}
	}
	return out
}
