// Package statestore keeps the state of one partition of a flow on local disk: one Badger database per partition, so
// that a partition is handed over, wiped and sized by itself. What the keys and values mean is the engine's affair.
//
// It upholds:
//   - Invariant 2: entries are applied in synced pieces, in order, and the checkpoint is written only by the last one. A
//     crash in between leaves the old checkpoint, and applying the same entries again gives the same state.
//   - A directory belongs to one partition of one flow, is open once, and is wiped whole or, after a crash, by the next
//     Open.
//
// Layout of a directory: identity.json (whose state this is), lock (held while open), data/ (Badger's files), and
// wiping, present only while a wipe is under way.
package statestore
