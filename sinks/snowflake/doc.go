// Package snowflake keeps tables of a flow in a schema of a Snowflake database.
//
// Rows and the place reached in the rows topic are written in one transaction, so the target is exactly once by itself.
// It upholds:
//   - Invariant 3: an upsert or delete takes effect only on a row whose _version is lower. Snowflake enforces no primary key: that a row
//     is there once follows from MERGE, and from the one writer that the fence leaves.
//   - Invariant 4: every partition has a row with an epoch that Assign raises; each transaction first updates that row under its own
//     epoch, which waits for a zombie's open transaction and then shuts the zombie out.
//   - Invariant 5: a batch, whole units, is one transaction; a rebuilt partition appears by one transaction as well.
//   - No value is altered to make it fit, save timestamps, which are kept in microseconds: what the target can't hold is refused by
//     document, table and column.
//
// Rows go to the server as text: a statement takes them as one JSON array, which FLATTEN makes rows of again (rows.go).
//
// Layout, in the schema of the settings: one table per table of the flow, with _document, _key, _version, _partition, _lineage and the
// declared columns; beside it a stage for rebuilds; _freshet_places, _freshet_tables, _freshet_fronts and _freshet_lock for bookkeeping. All
// names are quoted, so that Snowflake folds none of them to upper case.
package snowflake
