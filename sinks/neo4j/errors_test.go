package neo4j

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/neo4j/neo4j-go-driver/v5/neo4j"

	"github.com/freshet-dev/freshet/stream"
)

// TestWrappedErrors: an error of the driver keeps its class when it says which table it was about.
func TestWrappedErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want stream.ErrorKind
	}{
		{&neo4j.ConnectivityError{Inner: io.EOF}, stream.Transient},
		{&neo4j.ConnectivityError{Inner: errors.New("connection reset")}, stream.Transient},
		{&neo4j.Neo4jError{Code: "Neo.TransientError.General.DatabaseUnavailable"}, stream.Transient},
		{&neo4j.UsageError{Message: "no such scheme"}, stream.Usage},
		{errors.New("anything else"), stream.Internal},
	} {
		for _, err := range []error{c.err, fmt.Errorf("table %q: %w", "docs", c.err)} {
			if got := stream.KindOf((&Sink{}).classed("write", err)); got != c.want {
				t.Errorf("%v is of kind %s, want %s", err, got, c.want)
			}
		}
	}
}
