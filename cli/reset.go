package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// resetDone is what `reset --json` prints.
type resetDone struct {
	Flow       string `json:"flow"`
	Generation int64  `json:"generation"` // the new one
	Wiped      int    `json:"wiped"`      // state directories of this machine
}

// newReset is `freshet reset`.
func newReset(c *common) *cobra.Command {
	var yes, asJSON bool
	cmd := &cobra.Command{
		Use:   "reset -f FLOW",
		Short: "Begin again from the source: forget state and results, keep the targets until they are overtaken",
		Long: "Begin again from the source: the rows topic, the changelog and the state on this machine are deleted, so everything " +
			"is processed again, model calls included. Targets keep their rows until newer versions replace them; what does not " +
			"come back is deleted after the first full pass. No process of the flow may run, and every target must be reachable: " +
			"the new generation goes above all that they hold.",
		Args: cobra.NoArgs,
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		if !yes && !confirmed(cmd.InOrStdin(), cmd.ErrOrStderr(), a.flow.Name) {
			return usagef("nothing was done; to reset flow %s, answer with its name, or say --yes", a.flow.Name)
		}
		done, err := a.reset(cmd.Context())
		if err != nil {
			return err
		}
		if asJSON {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(done)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "flow %s begins again, with generation %d\n", done.Flow, done.Generation)
		return err
	}
	return cmd
}

// confirmed asks for the flow's name.
func confirmed(in io.Reader, out io.Writer, name string) bool {
	fmt.Fprintf(out, "This deletes what flow %s has computed; models are called again for everything. Type the flow's name to go on: ", name)
	return answered(in, name)
}

// answered reads one line, which must be the word that was asked for.
func answered(in io.Reader, word string) bool {
	line, err := bufio.NewReader(in).ReadString('\n')
	return (err == nil || err == io.EOF) && strings.TrimSpace(line) == word
}

func (a *app) reset(ctx context.Context) (done resetDone, err error) {
	defer a.close()
	if running, unreachable, err := a.processes(ctx); err != nil {
		return done, err
	} else if n := len(running) + len(unreachable); n > 0 {
		return done, usagef("%d processes of flow %s run; stop them first", n, a.flow.Name)
	}
	if a.embedded {
		if err := a.connect(ctx); err != nil {
			return done, err
		}
	}
	above, err := a.highestGeneration(ctx)
	if err != nil {
		return done, err
	}
	g, err := a.cluster.Reset(ctx, a.flow.Name, a.kafkaSource(), above)
	if err != nil {
		return done, err
	}
	recorded, err := a.cluster.Recorded(ctx, a.flow.Name)
	if err == nil {
		err = a.record(ctx, recorded.Declaration) // what begins again is what the file says now
	}
	if err != nil {
		return done, err
	}
	// State that a crash leaves here belongs to a changelog that is gone: the next start wipes it.
	done = resetDone{Flow: a.flow.Name, Generation: g.Generation}
	for _, dir := range a.stateDirs() {
		if err := statestore.Wipe(dir); err != nil {
			return done, err
		}
		done.Wiped++
	}
	return done, nil
}

// highestGeneration is the highest one that any target holds. Versions must rise above it, or the targets would refuse
// the rows that are written again (invariant 3).
func (a *app) highestGeneration(ctx context.Context) (highest int64, err error) {
	partitions := int32(max(a.flow.Kafka.Partitions, kafka.DefaultPartitions))
	if ends, err := a.cluster.SourceEnds(ctx, kafka.Topics{Flow: a.flow.Name, Source: a.kafkaSource().Topic}); err == nil && len(ends) > 0 {
		partitions = int32(len(ends))
	}
	for _, t := range a.flow.Targets {
		held, err := a.generationOf(ctx, t, partitions)
		if err != nil {
			return 0, fmt.Errorf("read the generation of target %s: %w", t.Name, err)
		}
		highest = max(highest, held)
	}
	return highest, nil
}

// generationOf takes each partition of a target, which is the way to learn what it holds.
func (a *app) generationOf(ctx context.Context, t flow.Target, partitions int32) (highest int64, err error) {
	sink, err := a.newSink(t)
	if err != nil {
		return 0, err
	}
	defer sink.Close() //nolint:errcheck // nothing was written
	// Tables whose declaration changed are recreated by the next start.
	if _, err := sink.Open(ctx, a.flow.Name, t.Name); err != nil {
		return 0, err
	}
	for p := range partitions {
		held, err := sink.Assign(ctx, p, stream.Origin{Flow: a.flow.Name, Target: t.Name})
		if err != nil {
			return 0, err
		}
		sink.Release(p)
		highest = max(highest, held.Generation)
	}
	return highest, nil
}
