// Package engine turns the changes of one partition into state entries and row records: it folds changes into stored
// inputs, decides what is a no-op, evaluates documents with memos, and diffs their rows. It knows neither Kafka nor
// Badger: stream/kafka drives it through Partition and supplies the transaction, statestore supplies Store.
//
// It upholds these invariants of DESIGN.md: 2 (a transaction's entries wait in an overlay until Commit), 5 (a document's
// row records are emitted together), 6 (changes fold in order; a newer one supersedes a pending evaluation), 7 (memo
// keys), 8 (every change is counted in exactly one outcome).
package engine
