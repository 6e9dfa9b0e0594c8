// Command freshet keeps indexes true to their sources: see README.md. This package reads flow files, fills the registries,
// wires the parts and handles signals; everything else lives in the packages it imports.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/stream"
)

// Exit codes of every command.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2 // wrong usage or invalid flow
	exitQuarantined = 3 // caught up, with quarantined documents
	exitDifference  = 4 // a difference was found
)

// exit is an error that ends the command with a code; an empty text prints nothing.
type exit struct {
	code int
	text string
}

func (e *exit) Error() string { return e.text }

// endWithin is how long a process may take to end after a signal: a transaction's time-out, a write to a target, leaving
// the groups and closing the state. A disk that hangs could hold it for ever.
const endWithin = 45 * time.Second

// garbagePercent bounds memory: most of the heap is buffers without pointers, which the collector passes over quickly.
const garbagePercent = 40

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() {
		stop() // a second signal ends the process at once
		<-time.After(endWithin)
		fmt.Fprintf(os.Stderr, "the process did not end within %s of being asked to; it is ended now, and the next start goes on from what "+
			"was committed\n", endWithin)
		os.Exit(exitFailed)
	})
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	root := newRoot()
	if err := root.ExecuteContext(ctx); err != nil {
		if text := err.Error(); text != "" {
			fmt.Fprintln(os.Stderr, text)
		}
		os.Exit(exitCode(err))
	}
}

func exitCode(err error) int {
	var e *exit
	switch {
	case errors.As(err, &e):
		return e.code
	case flow.AsFaults(err) != nil, errors.Is(err, errUsage):
		return exitUsage
	}
	return exitFailed
}

// errUsage marks wrong usage of a command.
var errUsage = errors.New("wrong usage")

// usagef returns an error for exit code 2.
func usagef(format string, args ...any) error {
	return &exit{exitUsage, fmt.Sprintf(format, args...)}
}

// asUsage gives an error of kind Usage exit code 2: the command was asked for what can't be, or the flow is refused before
// it runs. While a flow runs such an error is a failure instead.
func asUsage(err error) error {
	if err != nil && stream.KindOf(err) == stream.Usage {
		return &exit{exitUsage, err.Error()}
	}
	return err
}
