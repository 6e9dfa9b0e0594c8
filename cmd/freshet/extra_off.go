//go:build !crashpoints

package main

import "github.com/freshet-dev/freshet/cli"

// extra are targets for tests; a normal build has none.
func extra() []cli.Option { return nil }
