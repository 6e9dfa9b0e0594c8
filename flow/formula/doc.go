// Package formula compiles and evaluates the formulas of a flow: CEL over stream.Value, made pure.
//
// It upholds these invariants:
//
//   - A formula is a function of its variables alone: no clock, no randomness, and maps, also those a formula itself
//     makes, are iterated in key order. The same values give the same result, byte for byte, in every process. (A named
//     time zone, as in at.getHours("Europe/Paris"), follows the time zone database of the host; offsets do not.)
//   - Missing equals null: selecting an absent key, or anything from null, gives null. x.or(d) gives d for null.
//   - Values pass through a formula unchanged: what a formula only hands on keeps kind, scale, dimensions and bytes.
//   - Evaluation ends: a cost limit stops a loop that would run away. Evaluation never panics.
//   - Invariant 7: Formula.Canonical depends on what a formula says, not on how it is written or how names are called.
package formula
