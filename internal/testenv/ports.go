package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken below the range that Linux gives to outgoing connections (32768 and up), so that none takes the
// port of a component that is down and about to start again.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// freePorts returns n different ports of 127.0.0.1 on which nothing listens.
func freePorts(n int) ([]int, error) {
	var ports []int
	var held []net.Listener
	defer func() {
		for _, l := range held {
			_ = l.Close()
		}
	}()
	for try := 0; len(ports) < n; try++ {
		if try == 1000 {
			return nil, fmt.Errorf("find %d free ports between %d and %d on 127.0.0.1", n, lowestPort, highestPort)
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		l, err := net.Listen("tcp", local(port))
		if err != nil {
			continue
		}
		held = append(held, l)
		ports = append(ports, port)
	}
	return ports, nil
}

// local returns "127.0.0.1:port".
func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
