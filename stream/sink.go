package stream

import (
	"cmp"
	"context"
)

// Origin is what a target must be kept from confusing: a flow's rows topic and its generation.
type Origin struct {
	Flow       string
	Target     string
	TopicID    string // Kafka's topic ID of the rows topic, as text
	Generation int64
}

// Applied is what a target says of one partition.
type Applied struct {
	TopicID    string // "" when the target never held this partition
	Generation int64
	Next       int64    // offset of the next rows-topic record to apply; 0 when nothing was
	Rebuild    *Rebuild // an unfinished rebuild, to be continued
}

// Rebuild is a rebuild under way: records from Next to End (exclusive) still go to the stage.
type Rebuild struct{ Next, End int64 }

// Batch is a run of whole units of one partition of the rows topic, in order. Records in [From, To) were read; those
// of tables that the target does not keep, and control records, are left out, so Units may be empty.
type Batch struct {
	Partition int32
	From, To  int64
	Units     []Unit
}

// Guarantees is what a kind of target promises, as data.
type Guarantees struct {
	// Transactional: rows and the next offset move in one transaction, and a rebuild is staged out of sight. Without it a
	// target is guarded (package sinks/guard): every row write is a conditional put that an older version loses, deletes
	// leave versioned tombstones, and the next offset is put, conditionally too, once the rows are in. A stale writer is
	// refused when it is seen, and does no harm in the moment before.
	Transactional   bool
	AtomicDocuments bool // a reader never sees half of a unit; else units show row by row, in order
	Vectors         bool // holds vector columns
	Deletes         bool // a deleted row is gone for readers; else readers see its tombstone
	Merges          bool // takes shared tables: readers see what the rows of one key, of whatever document, merge to
	Fronts          bool // it is a Fronter: takes tables that roll out blue-green
}

// Sink writes one target. Apart from Open and Close, calls for different partitions may come concurrently; calls for
// one partition do not overlap. Errors are classed: Transient is retried in place by the caller, not before
// RetryAfter, Fenced gives the partition up, Usage stops the target with the message, anything else too.
//
// Invariant 3: a write whose version is below the one held has no effect.
// Invariant 4: a writer that lost its partition is refused with kind Fenced.
// Invariant 5: a unit becomes visible whole, or (in targets that declare they can't) in order.
type Sink interface {
	// Open connects, and creates the declared tables that are absent. A table that this flow did not create, or that
	// was altered by hand, is an error (Usage). Tables of the flow's own making whose declaration changed are
	// returned, untouched, in changed; Recreate replaces them. Repeatable.
	Open(ctx context.Context, flow, target string) (changed []string, err error)
	// Recreate drops and creates the named tables of its own making; every partition must be rebuilt afterwards,
	// which it notes durably: Assign then returns a Rebuild.
	Recreate(ctx context.Context, tables []string) error
	// Assign takes the partition under a new fence (earlier writers of it are refused from now on) and returns what
	// the target holds of it. It does not compare with origin: the caller decides.
	Assign(ctx context.Context, partition int32, origin Origin) (Applied, error)
	// Adopt records origin as the one held, with next as the next offset. Rows stay.
	Adopt(ctx context.Context, partition int32, origin Origin, next int64) error
	// Apply writes a batch and, in the same transaction where the target has them, else once every row is in, its To as
	// the next offset. A batch whose From is not the stored next offset is refused (Fenced).
	Apply(ctx context.Context, b Batch) error
	// StartRebuild empties the partition's stage and notes durably that records in [0, end) are to be read again.
	StartRebuild(ctx context.Context, partition int32, end int64) error
	// Stage writes a batch of a rebuild to the stage; a target without transactions has none, and shows the rows at once.
	Stage(ctx context.Context, b Batch) error
	// Switch replaces, in one transaction where the target has them, the partition's rows by the stage's: rows held with a version newer than
	// the rebuild's end stay, rows not staged and not newer than its end are deleted; but rows of older generations, that
	// the first pass may not have written again yet, are left to Sweep. Ends the rebuild; the next offset becomes the
	// rebuild's end if it was lower.
	Switch(ctx context.Context, partition int32, end int64) error
	// Sweep deletes the partition's rows whose version is below before, but not those that the partition's rebuild has
	// staged and Switch is to replace; partitions beyond the count
	// (partition modulo partitions equal to it) belong to it too, for topics that were re-created smaller.
	Sweep(ctx context.Context, partition, partitions int32, before Version) error
	// Release gives the partition up; the fence stays.
	Release(partition int32)
	// Close ends all connections.
	Close() error
}

// Hit is one result of a search: nearest first.
type Hit struct {
	RowID
	Distance float64 // cosine distance, 0 is identical
	Columns  []Entry // the columns that are not vectors
	Version  Version
}

// Searcher is a Sink that can find the k rows nearest to a vector.
type Searcher interface {
	Search(ctx context.Context, table, column string, vector Value, k int) ([]Hit, error)
}

// Reader is a Sink that can be read back, for checks: rows of one table in order of (document, key).
type Reader interface {
	ReadRows(ctx context.Context, table string, each func(RowWrite) error) error
}

// Inspector is a Sink that says what the target holds of a partition, as Assign does, and takes no fence: whoever writes
// goes on. It is to be opened first, and is safe beside other calls.
type Inspector interface {
	Inspect(ctx context.Context, partition int32) (Applied, error)
}

// Dropper is a Sink that can take away what it made in its target.
type Dropper interface {
	// Drop removes the declared tables that this flow made for this target, and those that a declaration left out where the sink still knows
	// how to reach them, and what is noted of partitions: afterwards the target never was. It is to be opened first; earlier writers are
	// refused from then on. Tables of others, and what held the tables, such as a database, stay. Repeatable.
	Drop(ctx context.Context) error
}

// Rounder is a Sink whose target does not give back every value as it was written: timestamps are cut, kinds that JSON
// lacks come as text. Round returns what ReadRows gives for a row of these columns; they stay the caller's, and may be
// returned as they are. It does no I/O, and fails for values that the target can't hold. The values of other sinks come
// back as they were.
type Rounder interface {
	Round(table string, columns []Value) ([]Value, error)
}

// TargetTable is one table as a target keeps it.
type TargetTable struct {
	Table    Table
	Settings Settings // the target's settings for this table, from the map form of `tables`
	Front    string   // of a table that rolls out: the name in the target under which readers see one edition or another (Fronter); "" elsewhere
}

// As is the table's name in the target: its setting `table`, else its own name.
func (t TargetTable) As() string { return cmp.Or(t.Settings.String("table"), t.Table.Name) }

// FlowCluster is the Kafka that a flow runs on, for targets that write there.
type FlowCluster struct {
	Brokers    []string
	Access     Settings // how they are reached
	Partitions int32    // of the rows topic; 0: not known yet
	Embedded   bool     // it is part of this process, the only one that uses it
	Topics     []string // that the flow reads, and those of its own that are known; no target may write there
}

// SinkConfig is what a sink is made from.
type SinkConfig struct {
	Settings Settings
	Tables   []TargetTable
	Cluster  FlowCluster
}

// SinkSpec declares a kind of target.
type SinkSpec struct {
	Name          string // e.g. "postgres"
	Doc           string
	Settings      []Setting // of the target
	TableSettings []Setting // of each table in the map form of `tables`
	Naming        string    // the setting of a table that is its name in the target; "": `table`
	Guarantees    Guarantees
	// New does no I/O.
	New func(c SinkConfig) (Sink, error)
	// Check finds when a flow is checked what New would say of its tables; a table that rolls out has Front, and is not an edition yet. Nil: nothing.
	Check func(tables []TargetTable) error
}

// As is a table's name in a target of this kind.
func (s SinkSpec) As(t TargetTable) string {
	return cmp.Or(t.Settings.String(s.NamedBy()), t.Table.Name)
}

// NamedBy is the setting of a table that is its name in the target.
func (s SinkSpec) NamedBy() string { return cmp.Or(s.Naming, "table") }
