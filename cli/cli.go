// Package cli is the command freshet: it reads flow files, fills the registries, wires the parts and handles signals; everything else lives in the
// packages it imports. A program that brings targets, operators or providers of its own is a main function that calls Main with them.
package cli

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

// program is what a main function makes of the command.
type program struct {
	registry *flow.Registry
	built    *flow.Builder // nil: flows come from files only
}

// Option adds to what flow files may name, or brings a flow.
type Option func(*program) error

// WithSink adds a kind of target, by its name.
func WithSink(spec stream.SinkSpec) Option {
	return func(p *program) error { return add(p.registry.Sinks, "target", spec.Name, spec) }
}

// WithOperator adds an operator, by its name.
func WithOperator(spec stream.OperatorSpec) Option {
	return func(p *program) error { return add(p.registry.Operators, "operator", spec.Name, spec) }
}

// WithProvider adds a provider of models, by its name.
func WithProvider(spec stream.ProviderSpec) Option {
	return func(p *program) error { return add(p.registry.Providers, "provider", spec.Name, spec) }
}

// WithFlow brings a flow that is declared in Go: commands are about it unless a file is named with -f. Its paths are relative to the
// working directory, and its local state lies in .freshet there.
func WithFlow(b *flow.Builder) Option {
	return func(p *program) error {
		if p.built != nil {
			return usagef("this program brings several flows; give each a program of its own")
		}
		p.built = b
		return nil
	}
}

func add[S any](known map[string]S, kind, name string, spec S) error {
	if _, taken := known[name]; taken || name == "" {
		return usagef("this program adds a %s of the name %q, which is empty or taken; give its specification another", kind, name)
	}
	known[name] = spec
	return nil
}

// Main runs the command that the arguments name, and ends the process with its exit code when it failed.
func Main(adding ...Option) {
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
	err := run(ctx, adding)
	if err == nil {
		return
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(os.Stderr, text)
	}
	os.Exit(exitCode(err))
}

func run(ctx context.Context, adding []Option) error {
	p := program{registry: registry()}
	for _, o := range adding {
		if err := o(&p); err != nil {
			return err
		}
	}
	return newRoot(p).ExecuteContext(ctx)
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
