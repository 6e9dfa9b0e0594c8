package schemas

import (
	"encoding/json"
	"strconv"
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

// JSON returns the lineage as row records and targets hold it: as json.Marshal writes it, without its reflection, since
// every row written has one.
func (l Lineage) JSON() ([]byte, error) {
	b := make([]byte, 0, 192+len(l.Document)+len(l.Topic)+len(l.Position)+64*len(l.Nodes))
	b = appendMarshalled(append(b, `{"document":`...), l.Document)
	b = appendMarshalled(append(b, `,"topic":`...), l.Topic)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(l.Partition), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), l.Offset, 10)
	if l.Position != "" {
		b = appendMarshalled(append(b, `,"position":`...), l.Position)
	}
	if l.Time != "" {
		b = appendMarshalled(append(b, `,"time":`...), l.Time)
	}
	b = appendMarshalled(append(b, `,"revision":`...), l.Revision)
	b = append(b, `,"nodes":`...)
	if len(l.Nodes) == 0 {
		return append(b, emptyNodes(l.Nodes)...), nil
	}
	nodes, err := json.Marshal(l.Nodes)
	return append(append(b, nodes...), '}'), err
}

func emptyNodes(nodes []stream.NodeLineage) string {
	if nodes == nil {
		return "null}"
	}
	return "[]}"
}

// appendMarshalled appends s as json.Marshal writes it.
func appendMarshalled(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string can always be written
			}
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
