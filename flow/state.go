package flow

import "time"

// State is what the flow file says of what is kept beside what is used. It never changes a result.
type State struct {
	MemoRetention     time.Duration // how long a result stays that no document uses; 0: for ever
	RollbackRetention time.Duration // how long after its promotion the edition before it stays; 0: for ever
}

const (
	defaultRetention       = 168 * time.Hour
	leastMemoRetention     = time.Minute // less would compute again what a document is moved or renamed for
	leastRollbackRetention = time.Second
	forEver                = "forever"
)

func (c *checker) state(t *tree) {
	c.flow.State = State{defaultRetention, defaultRetention}
	if t == nil || !c.isMapping(t, "`state`") {
		return
	}
	c.known(t, "`state`", nil, "memo_retention", "rollback_retention")
	c.retention(t, "memo_retention", leastMemoRetention, &c.flow.State.MemoRetention)
	c.retention(t, "rollback_retention", leastRollbackRetention, &c.flow.State.RollbackRetention)
}

// retention reads how long something stays, where it is said.
func (c *checker) retention(state *tree, name string, least time.Duration, to *time.Duration) {
	t, what := state.get(name), "`"+name+"` of `state`"
	if t == nil {
		return
	}
	if t.shape == shapeString && t.text == forEver {
		*to = 0
		return
	}
	v, ok := c.duration(t, what)
	if !ok {
		return
	}
	if *to = time.Duration(v.Int()); *to < least {
		c.add(t.at, "write a longer one, or forever", "%s must be at least %s, not %s", what, least, t.text)
	}
}
