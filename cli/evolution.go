package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
)

// evolves says what becomes of sources, tables and targets when the flow file follows a revision.
func (a *app) evolves(d schemas.Declaration, was flow.Declaration) []flow.Evolution {
	old := a.readable(d)
	if old != nil {
		defer closeProgram(old)
	}
	return a.flow.Evolution(was, old)
}

// readable is a recorded flow; nil where this build can't read it. Its overlay was another one, perhaps, which changes no table.
func (a *app) readable(d schemas.Declaration) *flow.Flow {
	if d.Text == nil {
		return nil
	}
	f, err := a.loadText(d)
	if err != nil && a.overlay != "" {
		f, err = a.loadUnder(d, "")
	}
	if err != nil {
		a.log.Debug("a recorded revision can't be read", "flow", a.flow.Name, "revision", d.Revision, "error", err)
		return nil
	}
	return f
}

// closeProgram ends what the operators of a flow keep that was read to be compared: nothing ran.
func closeProgram(f *flow.Flow) { _ = f.Program.Close() }

// destroyFlag is for commands that make another revision the present one.
func destroyFlag(cmd *cobra.Command, to *[]string) {
	cmd.Flags().StringSliceVar(to, "destroy", nil, "what may go of sources, tables and columns, by the names that `freshet plan` gives, e.g. column:chunks.lang")
}

// agreesToDestroy refuses a change that destroys what nobody named, and names that it does not destroy. command is what to type, but for the names.
func agreesToDestroy(all []flow.Evolution, named []string, command string) error {
	destroyed := flow.Destroyed(all)
	var missing, idle []string
	for _, e := range all {
		if e.Effect == flow.Destructive && !slices.Contains(named, e.Name) {
			missing = append(missing, e.Name+" ("+e.What+")")
		}
	}
	for _, name := range named {
		if !slices.Contains(destroyed, name) {
			idle = append(idle, name)
		}
	}
	switch {
	case len(missing) > 0:
		return usagef("the change destroys %s; nothing was done; if that is meant, name it: %s%s", strings.Join(missing, ", "), command, destroying(destroyed))
	case len(idle) > 0:
		return usagef("--destroy %s: the change does not destroy that, but %s; nothing was done", strings.Join(idle, ", "), orNothing(destroyed))
	}
	return nil
}

func orNothing(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// destroying are the flags that name what is destroyed.
func destroying(names []string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(" --destroy " + name)
	}
	return b.String()
}

// losses are the changes of tables and targets that are destructive, in words.
func losses(all []flow.Evolution) (lines []string) {
	for _, e := range all {
		if e.Effect == flow.Destructive {
			lines = append(lines, "destroys "+e.Name+": "+e.What)
		}
	}
	return lines
}

// applying is the command that applies the flow file, with what it destroys; "" under `freshet dev`, which needs none.
func (a *app) applying(all []flow.Evolution) string {
	if a.embedded {
		return ""
	}
	return "freshet apply -f " + a.fileName() + destroying(flow.Destroyed(all))
}

// printEvolution shows what becomes of tables and targets, and the command that applies it where that needs names ("": `freshet dev` needs none).
func printEvolution(out io.Writer, all []flow.Evolution, command string) {
	if len(all) == 0 {
		return
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "change\teffect\t")
	for _, e := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\n", e.Name, e.Effect, e.What)
	}
	_ = table.Flush() // as every print to out
	if len(flow.Destroyed(all)) > 0 && command != "" {
		fmt.Fprintln(out, "what is destructive has to be named: "+command)
	}
}

// continues refuses a flow file that can't go on with what the flow has: its documents would have other IDs, or its place in the topic that was
// read means nothing in the one that would be.
func (a *app) continues(d schemas.Declaration, was flow.Declaration) error {
	if err := a.renamed(was); err != nil {
		return err
	}
	const again = "to begin again from the sources, run: freshet reset -f %s"
	if direct := len(was.Sources) == 0; direct == a.flow.Intake() {
		return usagef("flow %s %s; one can't follow the other with the state that is there; stop the flow's processes; "+again,
			a.flow.Name, pick(direct, "read the topic of its only source so far, and would read its sources through an intake topic",
				"read its sources through an intake topic so far, and would read the topic of its only source"), a.fileName())
	}
	old := a.readable(d)
	if old == nil {
		return nil
	}
	defer closeProgram(old)
	names := a.flow.Moved(old)
	switch {
	case len(names) == 0:
		return nil
	case a.flow.Intake():
		return usagef("flow %s: source %s would read another topic than it does, so that documents of the one before would stay; give it another name, "+
			"so that it joins as a source of its own and the old one leaves; or, "+again, a.flow.Name, strings.Join(names, ", "), a.fileName())
	}
	return usagef("flow %s: source %s would read another topic than it does, and where it is in the one means nothing in the other; stop the flow's processes; "+again,
		a.flow.Name, names[0], a.fileName())
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}
