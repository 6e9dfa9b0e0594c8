// Package kafka drives the engine over Kafka: sessions and transactions of the processor, restore of its state, delivery
// of the rows topic to targets, and the topics of a flow. Beside tests and benchmarks it is the only package that knows
// franz-go.
//
// It upholds these invariants of DESIGN.md: 1 (source offsets are committed only with the state and rows they caused),
// 2 (the store is written only after the commit, and restored to exactly what was committed), 4 (a stale processor is
// fenced by its transactional ID and the group's generation), 5 (units are delivered whole), 8 (what can't be decided
// stops a partition, it never skips).
package kafka
