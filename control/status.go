package control

import (
	"slices"

	"github.com/freshet-dev/freshet/stream/engine"
)

// Status is what a process says of itself now.
type Status struct {
	Flow         string        `json:"flow"`
	Replica      int           `json:"replica"`
	Revision     int64         `json:"revision"`           // of the flow, that it runs; 0: none, see Degraded
	Editions     []Edition     `json:"editions,omitempty"` // of tables that roll out, in that revision
	Roles        []string      `json:"roles"`
	Partitions   []Partition   `json:"partitions"`         // that it processes, in order
	Standbys     []Standby     `json:"standbys,omitempty"` // partitions of others whose state it follows, in order
	SourceLag    *int64        `json:"source_lag"`         // records of these partitions still to be processed; null: unknown
	Intake       *Intake       `json:"intake,omitempty"`   // of a flow of several sources, where this process takes them in
	Targets      []Target      `json:"targets"`            // that it delivers to, in order of the flow file
	Degraded     []string      `json:"degraded"`           // what does not work now, in words
	Counts       engine.Counts `json:"counts"`             // since the process started
	Transactions Transactions  `json:"transactions"`
	Backfill     *Backfill     `json:"backfill,omitempty"` // while documents wait for re-evaluation
	Restore      Restore       `json:"restore"`
	Divergences  int64         `json:"state_divergences"` // must be 0
	Disk         int64         `json:"state_disk_bytes"`  // that the states on this machine take, those of partitions it follows or has left included
}

// Delivers reports whether the process has a target open that it delivers to.
func (s Status) Delivers(target string) bool {
	return slices.ContainsFunc(s.Targets, func(t Target) bool { return t.Target == target && t.Connected })
}

// Edition says of a table that rolls out what its targets show, and what is kept beside it.
type Edition struct {
	Table  string `json:"table"`
	Shown  string `json:"shown"`            // the table that readers see
	Beside string `json:"beside,omitempty"` // the other one that is kept
}

// Partition is one partition that a process processes.
type Partition struct {
	Partition int32        `json:"partition"`
	State     string       `json:"state"` // restoring, ready, re-evaluating, stopped; stored: nothing runs
	Next      int64        `json:"next"`  // source offset to be processed next
	Error     string       `json:"error,omitempty"`
	Stats     engine.Stats `json:"stats"`
	Backlog   int          `json:"backlog,omitempty"` // documents that wait for re-evaluation
	Busy      bool         `json:"busy,omitempty"`    // evaluations run, wait or rest
	Parked    int          `json:"parked,omitempty"`  // pending documents whose evaluations rest until they are due
	// Restore is there while the partition's changelog is being read.
	Restore *PartitionRestore `json:"restore,omitempty"`
}

// Backfill says how the evaluation of documents that a changed flow affects goes.
type Backfill struct {
	Left      int     `json:"left"` // documents of this process's partitions
	Paused    bool    `json:"paused,omitempty"`
	Rate      float64 `json:"rate,omitempty"`              // documents a second that are asked for, over all replicas; 0: as fast as it goes
	PerSecond float64 `json:"per_second,omitempty"`        // of this process, as measured; 0: not known yet
	Seconds   float64 `json:"seconds_remaining,omitempty"` // at that speed; 0: not known
}

// PartitionRestore says how far the restore of one partition is.
type PartitionRestore struct {
	Records        int64   `json:"records"`   // read so far
	Remaining      int64   `json:"remaining"` // offsets still to be read
	BytesPerSecond float64 `json:"bytes_per_second"`
	Seconds        float64 `json:"seconds_remaining"` // at the pace so far; -1: not known yet
}

// Standby is a partition that another process owns and this one follows.
type Standby struct {
	Partition int32 `json:"partition"`
	Lag       int64 `json:"lag"`               // changelog offsets still to be read; -1: not known yet
	Warming   bool  `json:"warming,omitempty"` // it is to be owned here once it is warm
}

// Target is a target that a process delivers to.
type Target struct {
	Target     string            `json:"target"`
	Connected  bool              `json:"connected"`
	Rebuilding bool              `json:"rebuilding"`        // or about to
	Lag        *int64            `json:"lag"`               // rows-topic offsets of these partitions still to be applied; null: unknown
	Freshness  *float64          `json:"freshness_seconds"` // age of the last change when it became visible; null: none yet
	Partitions []TargetPartition `json:"partitions"`
	Of         int               `json:"of"`           // how many partitions the rows topic has; 0: unknown
	Rows       int64             `json:"rows_applied"` // since the process started, as what follows
	Retries    int64             `json:"retries"`
	Fenced     int64             `json:"fenced"` // writes refused because another replica took over
}

// TargetPartition is one partition of the rows topic that a process delivers.
type TargetPartition struct {
	Partition  int32 `json:"partition"`
	Next       int64 `json:"next"` // rows-topic offset to be applied next
	Rebuilding bool  `json:"rebuilding,omitempty"`
}

// Intake is what the intake of a process does. It counts records, no changes: those are the processors' to count.
type Intake struct {
	Lag          *int64       `json:"lag"`     // records of the sources still to be taken in, of partitions it owns; null: unknown
	Records      int64        `json:"records"` // taken in since the process started
	Transactions Transactions `json:"transactions"`
}

// Transactions counts the transactions of a loop since the process started.
type Transactions struct {
	Committed int64 `json:"committed"`
	Aborted   int64 `json:"aborted"`
}

// Restore says what was read from the changelog since the process started, and what is still to be read.
type Restore struct {
	Remaining int64 `json:"remaining"`
	Records   int64 `json:"records"`
	Fetches   int64 `json:"fetches"`
}

// complete makes empty lists and maps of absent ones, so that readers of the JSON meet no nulls but unknown numbers.
func (s Status) complete() Status {
	s.Roles, s.Partitions, s.Targets, s.Degraded = some(s.Roles), some(s.Partitions), some(s.Targets), some(s.Degraded)
	for i := range s.Partitions {
		s.Partitions[i].Stats.Rows = filled(s.Partitions[i].Stats.Rows)
	}
	for i := range s.Targets {
		s.Targets[i].Partitions = some(s.Targets[i].Partitions)
	}
	s.Counts.Other, s.Counts.Nodes, s.Counts.Tables = filled(s.Counts.Other), filled(s.Counts.Nodes), filled(s.Counts.Tables)
	return s
}

func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func filled[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Sum adds up what the state of the partitions holds.
func Sum(partitions []Partition) engine.Stats {
	sum := engine.Stats{Rows: map[string]int64{}}
	for _, p := range partitions {
		sum.Add(p.Stats)
	}
	return sum
}
