package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
)

// checkDeclaration compares the flow file with the declaration that the flow last ran with. A changed one is refused,
// unless this start re-evaluates; then it is recorded, and the processors evaluate every document again, live changes first.
func (a *app) checkDeclaration(ctx context.Context) error {
	if err := a.compareDeclaration(ctx); err != nil {
		return err
	}
	return a.recordDeclaration(ctx)
}

func (a *app) compareDeclaration(ctx context.Context) error {
	now := a.flow.Declaration()
	old, err := a.recordedDeclaration(ctx)
	if err != nil || old == nil {
		return err
	}
	if err := a.renamed(*old); err != nil {
		return err
	}
	if changed := now.Changed(*old); old.Logic != now.Logic && !a.reevaluate {
		return usagef("flow %s changed since it last ran: %s; start with --reevaluate to evaluate every document again "+
			"(only what a change affects is computed; `freshet plan` says how much)", a.flow.Name, strings.Join(changed, ", "))
	}
	return nil
}

// renamed refuses a flow file that gives the documents other IDs than they have.
func (a *app) renamed(old flow.Declaration) error {
	if names := a.flow.Declaration().Renamed(old); len(names) > 0 {
		return usagef("flow %s: the ID formula of source %s changed, so that its documents have other IDs; to begin again from the sources, "+
			"run: freshet reset -f %s", a.flow.Name, strings.Join(names, ", "), cmp.Or(a.flowFile, "FLOW"))
	}
	return nil
}

// recordedDeclaration is what the flow last ran with; nil when it has not run.
func (a *app) recordedDeclaration(ctx context.Context) (*flow.Declaration, error) {
	recorded, err := a.cluster.Declaration(ctx, a.flow.Name)
	if err != nil || recorded == nil {
		return nil, err
	}
	var old flow.Declaration
	if err := json.Unmarshal(recorded.Body, &old); err != nil {
		return nil, fmt.Errorf("read the recorded declaration of flow %s: %w", a.flow.Name, err)
	}
	return &old, nil
}

// recordDeclaration records what the flow file declares, unless that is recorded already.
func (a *app) recordDeclaration(ctx context.Context) error {
	recorded, err := a.cluster.Declaration(ctx, a.flow.Name)
	if err != nil {
		return err
	}
	revision := int64(1)
	if recorded != nil {
		revision = recorded.Revision + 1
	}
	body, err := json.Marshal(a.flow.Declaration())
	if err != nil {
		return err
	}
	if recorded != nil && string(body) == string(recorded.Body) {
		return nil
	}
	return a.cluster.SetDeclaration(ctx, a.flow.Name, schemas.Declaration{Revision: revision, Created: time.Now().UnixNano(), Body: body})
}
