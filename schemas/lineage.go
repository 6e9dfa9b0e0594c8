package schemas

import (
	"encoding/json"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Lineage says where a row comes from, as of its last write. Row records carry it as JSON.
type Lineage struct {
	Document  string               `json:"document"`
	Topic     string               `json:"topic"`
	Partition int32                `json:"partition"`
	Offset    int64                `json:"offset"`
	Position  string               `json:"position,omitempty"` // the source's own: LSN, binlog position, file state
	Time      string               `json:"time,omitempty"`     // source time, RFC 3339 in UTC
	Revision  string               `json:"revision"`           // of the flow
	Nodes     []stream.NodeLineage `json:"nodes"`              // on the row's path, in order
}

// LineageOf returns the lineage of the rows that a change of document, at position p, gives a table.
func LineageOf(document string, p stream.Position, revision string, nodes []stream.NodeLineage) Lineage {
	l := Lineage{Document: document, Topic: p.Topic, Partition: p.Partition, Offset: p.Offset, Position: p.Source,
		Revision: revision, Nodes: nodes}
	if p.Time != 0 {
		l.Time = time.Unix(0, p.Time).UTC().Format(time.RFC3339Nano)
	}
	return l
}

// JSON returns the lineage as row records and targets hold it.
func (l Lineage) JSON() ([]byte, error) { return json.Marshal(l) }
