package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
)

// checkDeclaration compares the flow file with the declaration that the flow last ran with. A changed one is refused,
// unless this start re-evaluates; then it is recorded, and the processors evaluate every document again before live work.
func (a *app) checkDeclaration(ctx context.Context) error {
	now := a.flow.Declaration()
	recorded, err := a.cluster.Declaration(ctx, a.flow.Name)
	if err != nil {
		return err
	}
	var old flow.Declaration
	revision := int64(1)
	if recorded != nil {
		if err := json.Unmarshal(recorded.Body, &old); err != nil {
			return fmt.Errorf("read the recorded declaration of flow %s: %w", a.flow.Name, err)
		}
		revision = recorded.Revision + 1
		if changed := now.Changed(old); old.Logic != now.Logic && !a.reevaluate {
			return usagef("flow %s changed since it last ran: %s; start with --reevaluate to evaluate every document again "+
				"(only what a change affects is computed)", a.flow.Name, strings.Join(changed, ", "))
		}
	}
	body, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if recorded != nil && string(body) == string(recorded.Body) {
		return nil
	}
	return a.cluster.SetDeclaration(ctx, a.flow.Name, schemas.Declaration{Revision: revision, Created: time.Now().UnixNano(), Body: body})
}
