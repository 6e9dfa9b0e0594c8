// Package postgres keeps tables of a flow in a Postgres schema, vectors by pgvector.
//
// Rows and the place reached in the rows topic are written in one transaction, so the target is exactly once by itself.
// It upholds:
//   - Invariant 3: an upsert or delete takes effect only on a row whose _version is lower.
//   - Invariant 4: every partition has an epoch that Assign raises; each transaction first updates that row under its
//     own epoch, which waits for a zombie's open transaction and then shuts the zombie out.
//   - Invariant 5: a batch, whole units, is one transaction; a rebuilt partition appears by one transaction as well.
//   - No value is altered to make it fit, save timestamps, which Postgres keeps in microseconds: what the target can't
//     hold is refused by document, table and column.
//
// Layout, in the schema of the settings: one table per table of the flow, with the declared columns and _document, _key,
// _version, _partition, _lineage; beside it a stage for rebuilds; _freshet_offsets and _freshet_tables for bookkeeping.
package postgres
