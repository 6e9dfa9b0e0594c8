// Command serve runs a guarded store in a process of its own, so that tests can kill it: serve FILE keeps it in a file,
// listens on loopback and prints its URL. With a second argument it listens there, as after a kill.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv/guarded"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	address := "127.0.0.1:0"
	switch len(args) {
	case 1:
	case 2:
		address = args[1]
	default:
		return fmt.Errorf("usage: serve FILE [ADDRESS]")
	}
	s, err := guarded.OpenStore(args[0])
	if err != nil {
		return err
	}
	defer s.Close()
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	return server.Serve(l)
}
