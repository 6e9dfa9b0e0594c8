package topic

import (
	"context"
	"net"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// RowKey is rowKey, for tests from outside.
var RowKey = rowKey

// Dialled makes a sink reach its brokers through dial, and wait so long for their answers.
func Dialled(s stream.Sink, dial func(ctx context.Context, network, host string) (net.Conn, error), patience time.Duration) {
	s.(*Sink).dial, s.(*Sink).patience = dial, patience
}
