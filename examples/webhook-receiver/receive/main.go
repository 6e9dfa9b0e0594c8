// Command receive runs the receiver: receive FILE ADDRESS. It takes the signatures' key from RECEIVER_SECRET and the token from RECEIVER_TOKEN.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	receiver "github.com/freshet-dev/freshet/examples/webhook-receiver"
)

func main() {
	if err := receive(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "receive:", err)
		os.Exit(1)
	}
}

func receive(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: receive FILE ADDRESS")
	}
	r, err := receiver.Open(args[0])
	if err != nil {
		return err
	}
	defer r.Close()
	r.Secret, r.Token = os.Getenv("RECEIVER_SECRET"), os.Getenv("RECEIVER_TOKEN")
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		return err
	}
	fmt.Println("http://" + l.Addr().String())
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	return server.Serve(l)
}
