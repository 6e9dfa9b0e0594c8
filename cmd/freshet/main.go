// Command freshet keeps indexes true to their sources: see README.md. Package cli has all of it.
package main

import "github.com/freshet-dev/freshet/cli"

func main() { cli.Main(extra()...) }
