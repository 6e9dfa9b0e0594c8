package torture

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// To add a target, such as redis: write target_redis_test.go, with a type that implements target and, where they fit, server, owned and
// insider; what it needs to run, its maker starts. Then add the maker to swift, or to every alone when it doesn't keep up with some 7,000
// changes a second, which TestMoves and TestSoak want. Zombies, kills, readers and comparisons take it from there. At last name it in
// docs/reliability.md, and run TestZombies and TestKills ten times.
var (
	swift = []maker{newPostgres, newSQLite, newGuarded}
	every = append(swift[:len(swift):len(swift)], newQdrant, newRedis, newWebhook)
	// The topics lie on the brokers, which TestKills kills: their reader would have to wait for them.
	fenced = append(every[:len(every):len(every)], newTopic)
	heavy  = []maker{newNeo4j, newOpenSearch}
	// LanceDB's server and the emulator of Snowflake take some transactions a second.
	slow = []maker{newLance, newSnowflake}
)

// maker makes a rig's target of one kind, and ends with the rig's test.
type maker func(t *testing.T, r *rig) target

// target is a place that the rig's flow is kept in step with, read as anybody could. Its methods may be called side by side.
type target interface {
	// name is its name in the flow file.
	name() string
	// block is what it is in the flow file, tables included.
	block() string
	// env is what a replica needs to reach it.
	env(ordinal int) []string
	// whole says that a reader never sees half of a document.
	whole() bool
	// rows are all rows, in any order; none while the tables are not there. Without vectors a reader asks, who needs columns only if
	// the target is whole.
	rows(ctx context.Context, vectors bool) ([]row, error)
	// applied is the offset of the rows topic, by partition, that the target says to be kept in step below. It never falls.
	applied(ctx context.Context) (map[int32]int64, error)
}

// server is a target with a server of its own.
type server interface {
	// restart kills it and starts it again on the same data. Meanwhile rows and applied fail as stream.Transient.
	restart(t *testing.T)
}

// owned is a target that one process writes as long as it lives.
type owned interface {
	// refusal is what a second process says, with the number of the first.
	refusal(pid int) string
}

// insider is a target that can hold a writer up in the middle of a write.
type insider interface {
	// freezeInside stops a replica there. When another has taken over, what it returns is called, and then the replica goes on.
	freezeInside(t *testing.T, x *replica) (thaw func())
	// evict does at once what the server does in time with a writer that stands still.
	evict(ctx context.Context, t *testing.T, x *replica)
}

// row is a row of either table as a target holds it.
type row struct {
	table, document, key string
	version              int64
	id, rev, parts       int64
	text                 string
	vector               []float32
}

func (s row) identity() string { return s.table + " " + s.document + " " + s.key }

// declared is what the model knows of a row.
func (s row) declared() string {
	return fmt.Sprintf("%s id=%d rev=%d parts=%d %s", s.table, s.id, s.rev, s.parts, s.text)
}

// sink is the role that delivers to a target.
func sink(v target) string { return "sink:" + v.name() }

// roles are those of a replica that processes and delivers to all targets; the owner has also those that one process writes.
func (r *rig) roles(owner bool) []string {
	all := []string{"process"}
	for _, v := range r.targets {
		if _, one := v.(owned); owner || !one {
			all = append(all, sink(v))
		}
	}
	return all
}

// blocks are the targets of the flow file.
func (r *rig) blocks() string {
	var text strings.Builder
	for _, v := range r.targets {
		fmt.Fprintf(&text, "  %s: %s\n", v.name(), v.block())
	}
	return text.String()
}
