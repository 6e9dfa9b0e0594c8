//go:build crashpoints

package main

import (
	"github.com/freshet-dev/freshet/internal/testenv/guarded"
	"github.com/freshet-dev/freshet/stream"
)

// extraSinks are targets for tests: one without transactions, which runs in a process that they can kill.
func extraSinks() map[string]stream.SinkSpec {
	return map[string]stream.SinkSpec{"guarded": guarded.Spec()}
}
