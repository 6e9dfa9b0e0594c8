package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// unable is why a process can't run the revision that is in force: another build of Freshet has to.
type unable struct {
	revision int64
	why      string
}

// Error says what has to be done.
func (e *unable) Error() string {
	return fmt.Sprintf("revision %d of the flow can't be run by this build: %s; start a build that can, or apply the flow with this one: "+
		"freshet apply -f FLOW", e.revision, e.why)
}

// adopt makes this process run the revision that is in force (invariant 10): with its own flow file, where that comes to the same,
// else from the text that is recorded, under the same overlay. `freshet dev` takes its file over instead, when it prepares.
func (a *app) adopt(ctx context.Context) error {
	recorded, err := a.cluster.Recorded(ctx, a.flow.Name)
	if err != nil || recorded.Declaration == nil {
		return err
	}
	a.revision, a.pace = recorded.Declaration, recorded.Backfill
	body, err := json.Marshal(a.flow.Declaration())
	if err != nil || a.embedded || bytes.Equal(body, a.revision.Body) {
		return err
	}
	was, err := declarationOf(*a.revision)
	if err != nil {
		return err
	}
	changes := append(a.flow.Declaration().Changed(was), a.flow.Declaration().ChangedTargets(was)...)
	command := a.applying(a.evolves(*a.revision, was))
	if a.revision.Text == nil {
		if a.flow.Declaration().Logic == was.Logic {
			return a.renamed(was)
		}
		return usagef("flow %s changed since it last ran: %s; an earlier version of Freshet did not keep what it was; to take this flow file over, "+
			"run: %s", a.flow.Name, strings.Join(changes, ", "), command)
	}
	f, err := a.loadText(*a.revision)
	if err != nil {
		return err
	}
	if now := f.Declaration(); now.Logic != was.Logic {
		return &unable{a.revision.Revision, "here it comes to another logic (" + strings.Join(now.Changed(was), ", ") + ")"}
	}
	a.log.Warn("the flow file is not the revision that is in force, which is run; `freshet apply` takes the file over", "flow", a.flow.Name,
		"revision", a.revision.Revision, "changes", strings.Join(changes, ", "), "run", command)
	a.flow = f
	return a.knowsTargets()
}

// Is makes it wrong usage of a command, at the start.
func (e *unable) Is(target error) bool { return target == errUsage }

// loadText reads a recorded flow. Its paths are relative to the directory of the flow file, as they were written.
func (a *app) loadText(d schemas.Declaration) (*flow.Flow, error) { return a.loadUnder(d, a.overlay) }

func (a *app) loadUnder(d schemas.Declaration, overlay string) (*flow.Flow, error) {
	name := filepath.Join(filepath.Dir(a.flowFile), fmt.Sprintf("%s@%d", a.flow.Name, d.Revision))
	f, err := flow.LoadText(name, d.Text, d.Files, overlay, a.registry)
	if err != nil {
		return nil, &unable{d.Revision, err.Error()}
	}
	return f, nil
}

// fileName is the flow's file, for a command to be typed.
func (a *app) fileName() string { return cmp.Or(a.flowFile, "FLOW") }

// text is the flow as it is to be recorded: the file, or what a program declares, without an overlay.
func (a *app) text() ([]byte, error) {
	if a.flowFile != "" {
		return os.ReadFile(a.flowFile)
	}
	f, err := a.built.Load(".", "", a.registry)
	if err != nil {
		return nil, err
	}
	return f.YAML(), nil
}

// renamed refuses a flow file that gives the documents other IDs than they have.
func (a *app) renamed(old flow.Declaration) error {
	if names := a.flow.Declaration().Renamed(old); len(names) > 0 {
		return usagef("flow %s: the ID formula of source %s changed, so that its documents have other IDs; to begin again from the sources, "+
			"run: freshet reset -f %s", a.flow.Name, strings.Join(names, ", "), a.fileName())
	}
	return nil
}

func declarationOf(d schemas.Declaration) (old flow.Declaration, err error) {
	if err = json.Unmarshal(d.Body, &old); err != nil {
		err = fmt.Errorf("read revision %d of the flow: %w", d.Revision, err)
	}
	return old, err
}

// declare records the flow file as the revision in force where none is, and under `freshet dev` where it says something else.
func (a *app) declare(ctx context.Context) error {
	if a.revision != nil {
		if !a.embedded {
			return nil
		}
		if err := a.overtakes(*a.revision); err != nil {
			return err
		}
	}
	return a.record(ctx, a.revision)
}

// overtakes says what a flow file that `freshet dev` takes over destroys, and refuses one that can't go on with what is there.
func (a *app) overtakes(now schemas.Declaration) error {
	was, err := declarationOf(now)
	if err != nil {
		return err
	}
	if err := a.continues(now, was); err != nil {
		return err
	}
	if lost := losses(a.evolves(now, was)); len(lost) > 0 {
		a.log.Warn("the flow file is taken over with all that it changes; `freshet run` would ask for that by name", "flow", a.flow.Name, "changes", strings.Join(lost, ", "))
	}
	return nil
}

// record makes the flow file the revision after the one before, unless it is that one.
func (a *app) record(ctx context.Context, before *schemas.Declaration) error {
	body, err := json.Marshal(a.flow.Declaration())
	if err != nil {
		return err
	}
	text, err := a.text()
	if err != nil {
		return err
	}
	d := schemas.Declaration{Revision: 1, Created: time.Now().UnixNano(), Body: body, Text: text, Files: a.flow.Files()}
	if before != nil {
		if d.Revision = before.Revision + 1; bytes.Equal(body, before.Body) {
			return nil
		}
	}
	if d.Editions, err = a.editions(ctx, a.flow.Declaration(), before, d.Revision); err != nil {
		return err
	}
	a.revision = &d
	return a.cluster.Record(ctx, a.flow.Name, d)
}

// recorded is the revision in force; an error when the flow has not run.
func (a *app) recorded(ctx context.Context) (kafka.Recorded, flow.Declaration, error) {
	r, err := a.cluster.Recorded(ctx, a.flow.Name)
	if err == nil && r.Declaration == nil {
		err = usagef("flow %s has not run yet", a.flow.Name)
	}
	if err != nil {
		return r, flow.Declaration{}, err
	}
	d, err := declarationOf(*r.Declaration)
	return r, d, err
}
