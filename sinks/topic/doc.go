// Package topic keeps tables of a flow as plain keyed records on compacted Kafka topics, one for each table, for anyone to read.
//
// Each partition of the rows topic has a writer of its own, a transactional producer, and a partition of the same number in
// every topic of the target. Rows and the place reached are written in one transaction: the place is a record on a topic of
// the target's own, not a group's offset, since brokers forget the offsets of a group without members after a week.
//
// It upholds:
//   - Invariant 1: a place is committed with the rows it follows. When the answer to a commit is lost, the writer is given
//     up; Assign ends whatever its transactional ID left open before it reads the place, so the place tells.
//   - Invariant 3: a batch above every version written so far needs no look at what is held; another one is compared with
//     the partition as it lies in the topics.
//   - Invariant 4: the transactional ID of (flow, target, partition) is initialised by Assign, which raises its epoch: brokers
//     abort an earlier writer's transaction, and refuse whatever it sends. Each step, a sweep that finds nothing too, writes
//     the place, so that a writer can't act without being checked. A client that had to begin a transaction anew half-way is
//     not allowed to commit it.
//   - Invariant 5: a unit is in one transaction, its rows of a table side by side in one partition. Readers of committed
//     records see each transaction's records of a partition or none of them; no reader of several topics sees them at once.
//   - Memory is bounded: what must be compared whole, as by Switch, Sweep and ReadRows, is sorted on disk.
//
// Layout: the topic of a table; `freshet.targets`, which says whose each topic is; `freshet.places.<flow>.<target>`, the place of
// each partition; `freshet.stage.<flow>.<target>`, rows of a rebuild until it ends.
package topic
