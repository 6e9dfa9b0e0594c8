package topic

import (
	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// asJSON writes a row as a JSON object by column name.
type asJSON struct{ columns []stream.Field }

func (asJSON) schema() []byte { return nil }

func (c asJSON) encode(columns []stream.Value) ([]byte, error) {
	return jsonvalue.AppendRow(nil, c.columns, columns)
}

func (c asJSON) decode(value []byte) ([]stream.Value, error) {
	return jsonvalue.ParseRow(string(value), c.columns)
}
