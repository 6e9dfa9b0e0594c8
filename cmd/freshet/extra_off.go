//go:build !crashpoints

package main

import "github.com/freshet-dev/freshet/stream"

// extraSinks are targets for tests; a normal build has none.
func extraSinks() map[string]stream.SinkSpec { return nil }
