//go:build crashpoints

package main

import (
	"github.com/freshet-dev/freshet/cli"
	"github.com/freshet-dev/freshet/internal/testenv/guarded"
)

// extra are targets for tests: one without transactions, which runs in a process that they can kill.
func extra() []cli.Option { return []cli.Option{cli.WithSink(guarded.Spec())} }
