package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
)

// rebuilt is what `rebuild --json` prints.
type rebuilt struct {
	Target  string  `json:"target"`
	Running bool    `json:"running"` // running processes did it
	Seconds float64 `json:"seconds"`
}

// newRebuild is `freshet rebuild`.
func newRebuild(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "rebuild -f FLOW TARGET",
		Short: "Build a target anew from the rows topic; nothing is computed again",
		Long: "Build a target anew from the rows topic: rows that are missing or were altered come back, rows that do not belong " +
			"go. Nothing is computed again; the rows stay visible meanwhile. Running processes do it; when none runs, this one does.",
		Args: exactly(1, "which target? e.g. rebuild local"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		began := time.Now()
		var terminal io.Writer
		if !asJSON {
			terminal = cmd.ErrOrStderr()
		}
		shown := &rebuildProgress{progress: newProgress(terminal, "rebuild "+args[0], "partitions"), target: args[0]}
		running, err := a.rebuildTarget(cmd.Context(), args[0], nil, shown)
		shown.Done()
		if err != nil {
			return err
		}
		r := rebuilt{args[0], running, time.Since(began).Seconds()}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "target %s is rebuilt, in %.1f s\n", r.Target, r.Seconds)
		return err
	}
	return cmd
}

// rebuildTarget has partitions of a target, none named: all, rebuilt and waits until they are.
func (a *app) rebuildTarget(ctx context.Context, name string, partitions []int32, shown *rebuildProgress) (running bool, err error) {
	if _, err := a.target(name); err != nil {
		return false, err
	}
	processes, unreachable, err := a.processes(ctx)
	a.close()
	if err != nil {
		return false, err
	}
	if len(unreachable) > 0 {
		return true, silent(a.flow.Name, unreachable) // they would keep their part as it is
	}
	var doing []*control.Client
	for _, c := range processes {
		switch err := c.Rebuild(ctx, name, partitions...); {
		case err == nil:
			doing = append(doing, c)
		case !errors.Is(err, control.ErrNotHere):
			return true, err
		}
	}
	if len(doing) > 0 {
		return true, awaitRebuilt(ctx, doing, name, shown)
	}
	if a.embedded && len(processes) > 0 {
		return true, &exit{exitFailed, "the running `freshet dev` does not deliver to target " + name + " at present; `freshet status` says why"}
	}
	return false, a.rebuildAlone(ctx, name, partitions, shown)
}

// awaitRebuilt returns when no process rebuilds the target any more.
func awaitRebuilt(ctx context.Context, doing []*control.Client, name string, shown *rebuildProgress) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		open := false
		var targets []control.Target
		for _, c := range doing {
			s, err := c.Status(ctx)
			if err != nil {
				return err
			}
			targets = append(targets, s.Targets...)
			for _, t := range s.Targets {
				if t.Target == name && !t.Connected {
					return &exit{exitFailed, "the process at " + c.Address + " lost target " + name + "; it goes on with the rebuild once it is back"}
				}
				open = open || t.Target == name && t.Rebuilding
			}
		}
		shown.show(targets)
		if !open {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rebuildAlone runs the flow's delivery to the one target until it is rebuilt.
func (a *app) rebuildAlone(ctx context.Context, name string, partitions []int32, shown *rebuildProgress) error {
	o := a.options
	o.roles, o.targets, o.rebuild = []string{"sink:" + name}, []string{name}, map[string][]int32{name: partitions}
	only, err := newApp(o)
	if err != nil {
		return err
	}
	defer shown.follow(only)()
	_, err = only.serve(ctx, true)
	return err
}

// rebuildProgress shows how far the rebuild of a target is: its partitions, and the rows read for them.
type rebuildProgress struct {
	*progress
	target string
	before *int64 // rows that the processes had applied when the rebuild was asked for
}

// show takes what processes say of their targets.
func (p *rebuildProgress) show(targets []control.Target) {
	done, all, rows := rebuiltOf(p.target, targets)
	if all == 0 {
		return // not begun, or the process is ending
	}
	if p.before == nil {
		p.before = &rows
	}
	p.Set(done, all, fmt.Sprintf("%d rows", max(0, rows-*p.before)))
}

// follow shows what a process of this command's own does, until the returned function is called.
func (p *rebuildProgress) follow(a *app) (end func()) {
	if p.progress == nil {
		return func() {}
	}
	p.before = new(int64)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show([]control.Target{a.targetStatus(p.target, nil)})
			case <-stop:
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// rebuiltOf counts the partitions of a target, those whose rebuild has ended, and the rows that were applied.
func rebuiltOf(name string, targets []control.Target) (done, all, rows int64) {
	for _, t := range targets {
		if t.Target != name {
			continue
		}
		var open int64
		for _, part := range t.Partitions {
			if part.Rebuilding {
				open++
			}
		}
		here := int64(len(t.Partitions))
		all, rows = all+here, rows+t.Rows
		if open > 0 || !t.Rebuilding { // else it was asked for and has not begun
			done += here - open
		}
	}
	return done, all, rows
}
