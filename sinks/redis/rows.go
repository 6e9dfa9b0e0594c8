package redis

import (
	"strconv"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// fields returns a row as fields and values, one after the other.
func (t *table) fields(i guard.Item) []string {
	f := []string{documentField, i.Document, keyField, i.Key, versionField, number(i.Version.Pack()), epochField, number(i.Epoch),
		partitionField, number(int64(i.Partition)), lineageField, string(i.Lineage)}
	var exact []stream.Entry
	for n, c := range t.Columns {
		v := i.Columns[n]
		if v.IsNull() {
			continue
		}
		text := textOf(v)
		f = append(f, c.Name, text)
		if !valueOf(text, c.Type).Equal(v) {
			exact = append(exact, stream.Entry{Key: c.Name, Value: v})
		}
	}
	if len(exact) > 0 {
		f = append(f, exactField, string(stream.AppendValue(nil, stream.MapOf(exact...))))
	}
	return f
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// row undoes fields. The name of the hash says which row it is.
func (t *table) row(document, key string, held map[string]string) guard.Item {
	i := guard.Item{Partition: int32(parsed(held[partitionField])), Epoch: parsed(held[epochField])}
	i.Table, i.Document, i.Key = t.As, document, key
	i.Version, i.Lineage = stream.Unpack(parsed(held[versionField])), []byte(held[lineageField])
	exact, err := stream.DecodeValue([]byte(held[exactField]))
	if err != nil {
		exact = stream.Value{} // none, or somebody changed it: the text decides
	}
	i.Columns = make([]stream.Value, len(t.Columns))
	for n, c := range t.Columns {
		text, found := held[c.Name]
		if !found {
			continue
		}
		i.Columns[n] = valueOf(text, c.Type)
		if v, kept := exact.Get(c.Name); kept && textOf(v) == text {
			i.Columns[n] = v
		}
	}
	return i
}

// parsed is 0 for what is no number.
func parsed(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
