// Command freshet is freshet with one target more.
package main

import (
	"github.com/freshet-dev/freshet/cli"
	jsonfiles "github.com/freshet-dev/freshet/examples/custom-sink"
)

func main() { cli.Main(cli.WithSink(jsonfiles.Spec())) }
