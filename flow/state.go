package flow

import "time"

// State is what the flow file says of the state that replicas keep. It never changes a result.
type State struct {
	MemoRetention time.Duration // how long a result stays that no document uses; 0: for ever
}

const (
	defaultMemoRetention = 168 * time.Hour
	leastMemoRetention   = time.Minute // less would compute again what a document is moved or renamed for
	forEver              = "forever"
)

func (c *checker) state(t *tree) {
	c.flow.State.MemoRetention = defaultMemoRetention
	if t == nil || !c.isMapping(t, "`state`") {
		return
	}
	c.known(t, "`state`", nil, "memo_retention")
	if r := t.get("memo_retention"); r != nil {
		c.memoRetention(r)
	}
}

func (c *checker) memoRetention(t *tree) {
	const what = "`memo_retention` of `state`"
	if t.shape == shapeString && t.text == forEver {
		c.flow.State.MemoRetention = 0
		return
	}
	v, ok := c.duration(t, what)
	if !ok {
		return
	}
	if c.flow.State.MemoRetention = time.Duration(v.Int()); c.flow.State.MemoRetention < leastMemoRetention {
		c.add(t.at, "write a longer one, or forever", "%s must be at least %s, not %s", what, leastMemoRetention, t.text)
	}
}
