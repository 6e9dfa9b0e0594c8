// Package qdrant keeps tables of a flow in Qdrant: a collection for each, a point for each row, by the protocol of package
// guard, since Qdrant has no transactions.
//
// It upholds:
//   - Invariant 3: every upsert carries a filter that a point of a newer version does not meet. The filter is one for a
//     whole request, so it is that of a contiguous range of offsets (guard.Options.ByBatch).
//   - Invariant 4: a deleted row leaves a tombstone, a point without vectors that holds the version. Search leaves
//     tombstones out; whoever queries the collection by another client filters by `_deleted`.
//   - No value is altered to make it fit. Qdrant normalises vectors for cosine distance whose length is not 1, and reads doubles back with the
//     last bit off at times: what it would not give back as it was written is kept beside it, in `_exact`.
//   - Secrets are read at each use, and are in no error.
//
// Every write waits until it is applied, with strong ordering. Layout: a point's ID is the UUID of version 5 of (table,
// document, key), see pointID; vector columns are named vectors, the others are payload, beside them `_document`, `_key`,
// `_version`, `_epoch`, `_partition`, `_deleted`, `_at`, `_lineage`, `_exact`; the collection `_freshet` holds bookkeeping.
package qdrant
