package engine

import "sync"

// Counts are what a process did since it started. Every change of a document ends in exactly one of Applied, Noop,
// Superseded, Quarantined (invariant 8); a pending one is in none of them yet.
type Counts struct {
	Applied     int64                 `json:"applied"`
	Noop        int64                 `json:"noop"`
	Superseded  int64                 `json:"superseded"`
	Quarantined int64                 `json:"quarantined"`
	Other       map[string]int64      `json:"other"`     // records that are no change, by kind
	Evaluated   int64                 `json:"evaluated"` // documents
	Deleted     int64                 `json:"deleted"`   // documents
	Collected   int64                 `json:"collected"` // memos that no document had used for the retention
	Nodes       map[string]NodeCount  `json:"nodes"`
	Tables      map[string]TableCount `json:"tables"`
}

// NodeCount counts results of a node: computed now, or reused from a memo.
type NodeCount struct {
	Computed int64 `json:"computed"`
	Reused   int64 `json:"reused"`
}

// TableCount counts row records produced.
type TableCount struct {
	Upserts int64 `json:"upserts"`
	Deletes int64 `json:"deletes"`
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Applied += o.Applied
	c.Noop += o.Noop
	c.Superseded += o.Superseded
	c.Quarantined += o.Quarantined
	c.Evaluated += o.Evaluated
	c.Deleted += o.Deleted
	c.Collected += o.Collected
	for k, n := range o.Other {
		addTo(&c.Other, k, n)
	}
	for k, n := range o.Nodes {
		c.node(k, n)
	}
	for k, n := range o.Tables {
		c.table(k, n)
	}
}

func (c *Counts) node(name string, n NodeCount) {
	if c.Nodes == nil {
		c.Nodes = map[string]NodeCount{}
	}
	sum := c.Nodes[name]
	c.Nodes[name] = NodeCount{sum.Computed + n.Computed, sum.Reused + n.Reused}
}

func (c *Counts) table(name string, n TableCount) {
	if c.Tables == nil {
		c.Tables = map[string]TableCount{}
	}
	sum := c.Tables[name]
	c.Tables[name] = TableCount{sum.Upserts + n.Upserts, sum.Deletes + n.Deletes}
}

func addTo(m *map[string]int64, key string, n int64) {
	if *m == nil {
		*m = map[string]int64{}
	}
	(*m)[key] += n
}

// Totals is a Counts that several goroutines add to.
type Totals struct {
	mu sync.Mutex
	c  Counts
}

// Add adds c.
func (t *Totals) Add(c Counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.c.Add(c)
}

// Snapshot returns a copy.
func (t *Totals) Snapshot() Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out Counts
	out.Add(t.c)
	return out
}
