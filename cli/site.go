package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// siteFlags are the flags of a command that looks for a flow where it lives, running or not.
func (c *common) siteFlags(cmd *cobra.Command) func() (*app, error) {
	o := c.flowFlags(cmd)
	cmd.Flags().BoolVar(&o.embedded, "dev", false, "the flow runs under `freshet dev` (found out when left out)")
	return func() (*app, error) {
		a, err := newApp(*o)
		if err != nil {
			return nil, err
		}
		return a, a.locate(cmd.Context(), cmd.Flags().Changed("dev"))
	}
}

// locate finds out whether the flow lives on the in-process broker or on a cluster.
func (a *app) locate(ctx context.Context, said bool) error {
	if said {
		return nil
	}
	cluster, local := len(a.flow.Kafka.Brokers) > 0, exists(filepath.Join(a.dataDir, "broker"))
	if cluster && local && a.devProcess(ctx) == nil {
		return usagef("flow %s names Kafka brokers, and also ran under `freshet dev` (in %s); which one is meant? say --dev or --dev=false",
			a.flow.Name, a.dataDir)
	}
	a.embedded = local || !cluster
	return nil
}

// processes finds the flow's running processes: a `freshet dev` by its data directory, replicas of `freshet run` by the
// groups that they are members of. unreachable are addresses where nobody answered.
func (a *app) processes(ctx context.Context) (running []*control.Client, unreachable []string, err error) {
	if c := a.devProcess(ctx); c != nil {
		return []*control.Client{c}, nil, nil
	}
	if a.embedded {
		return nil, nil, nil
	}
	if err := a.connect(ctx); err != nil {
		return nil, nil, err
	}
	groups := []string{kafka.ProcessorGroup(a.flow.Name), kafka.YieldGroup(a.flow.Name)}
	if a.flow.Intake() {
		groups = append(groups, kafka.IntakeGroup(a.flow.Name))
	}
	for _, t := range a.flow.Targets {
		groups = append(groups, kafka.TargetGroup(a.flow.Name, t.Name))
	}
	var addresses []string
	for _, g := range groups {
		members, err := a.cluster.Members(ctx, g)
		if err != nil {
			return nil, nil, err
		}
		addresses = append(addresses, members...)
	}
	slices.Sort(addresses)
	for _, address := range slices.Compact(addresses) {
		if c := a.answering(ctx, address); c != nil {
			running = append(running, c)
		} else {
			unreachable = append(unreachable, address)
		}
	}
	return running, unreachable, nil
}

func (a *app) devProcess(ctx context.Context) *control.Client {
	address, err := os.ReadFile(a.addressFile())
	if err != nil {
		return nil
	}
	return a.answering(ctx, string(address))
}

// answering returns a client of the flow's process at an address; nil when none is there.
func (a *app) answering(ctx context.Context, address string) *control.Client {
	c := control.NewClient(address)
	if s, err := c.Status(ctx); err != nil || s.Flow != a.flow.Name {
		return nil
	}
	return c
}

// exists reports whether a path is there; what can't be seen counts as there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// localStores are the partitions' states on this machine while no process uses them.
type localStores map[int32]*statestore.Store

// Held implements control.Stores.
func (l localStores) Held() []int32 { return sortedKeys(l) }

// Store implements control.Stores.
func (l localStores) Store(partition int32) (engine.Store, func(), bool) {
	s := l[partition]
	if s == nil {
		return nil, nil, false
	}
	release, ok := s.Pin()
	return s, release, ok
}

func (l localStores) close() {
	for _, s := range l {
		_ = s.Close() // nothing was written
	}
}

// openLocal opens the states that lie on this machine; of a partition that several replicas held, the newest.
func (a *app) openLocal() (localStores, error) {
	found := localStores{}
	for _, dir := range a.stateDirs() {
		partition, err := strconv.ParseInt(filepath.Base(dir), 10, 32)
		if err != nil {
			return found, err // stateDirs names numbers only
		}
		s, err := statestore.Open(dir, statestore.Identity{Flow: a.flow.Name, Partition: int32(partition)}, a.log)
		if err == nil {
			err = found.keep(int32(partition), s)
		}
		if err != nil {
			found.close()
			return nil, err
		}
	}
	return found, nil
}

func (l localStores) keep(partition int32, s *statestore.Store) error {
	held := l[partition]
	if held == nil {
		l[partition] = s
		return nil
	}
	old, _, err := held.Checkpoint()
	if err == nil {
		var now statestore.Checkpoint
		if now, _, err = s.Checkpoint(); err == nil && now.Applied > old.Applied {
			l[partition], s = s, held
		}
	}
	return errors.Join(err, s.Close())
}

// stateDirs are the directories of partitions' states on this machine.
func (a *app) stateDirs() (dirs []string) {
	roots := []string{filepath.Join(a.dataDir, "state")}
	if !a.embedded {
		roots = roots[:0]
		for _, name := range namesIn(a.dataDir) {
			if strings.HasPrefix(name, "replica-") {
				roots = append(roots, filepath.Join(a.dataDir, name))
			}
		}
	}
	for _, root := range roots {
		for _, name := range namesIn(root) {
			if _, err := strconv.ParseInt(name, 10, 32); err == nil {
				dirs = append(dirs, filepath.Join(root, name))
			}
		}
	}
	return dirs
}

// namesIn lists a directory; one that can't be read holds nothing of use.
func namesIn(dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// look calls fn with the running processes that are reachable, or with the local state when none runs.
func (a *app) look(ctx context.Context, fn func(running []*control.Client, unreachable []string, local localStores) error) error {
	defer a.close()
	running, unreachable, err := a.processes(ctx)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return fn(running, unreachable, nil)
	}
	if len(unreachable) > 0 {
		return silent(a.flow.Name, unreachable)
	}
	local, err := a.openLocal()
	if err != nil {
		return err
	}
	defer local.close()
	return fn(nil, nil, local)
}

// silent says that the groups have members, none of which answers here.
func silent(flow string, addresses []string) error {
	return &exit{exitFailed, fmt.Sprintf("flow %s has replicas that do not answer at %s; if they were stopped just now, Kafka notices within "+
		"some seconds; if they run elsewhere, ask from their machine, or start them with --listen", flow, strings.Join(addresses, ", "))}
}
