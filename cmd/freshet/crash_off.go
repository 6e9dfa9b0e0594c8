//go:build !crashpoints

package main

// crashPoint is where tests stop the process; a normal build has no such points.
var crashPoint func(point string)
