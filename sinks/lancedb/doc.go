// Package lancedb keeps tables of a flow in LanceDB, by the REST namespace protocol of Lance: a table for each, a row for each row, by the protocol
// of package guard, since LanceDB has no transactions over several tables.
//
// It upholds:
//   - Invariant 3: rows are written by merge_insert under a condition that the server evaluates in the commit itself: the row held is older, or as
//     old and of no newer writer. A commit that meets another is done again by the server against what the other left. The column of row IDs
//     is declared an unenforced primary key: without that, two writers that insert one new ID at the same moment would both succeed.
//   - Invariant 4: a deleted row leaves a tombstone, a row whose `_deleted` is true and that holds the version. The partition's place is a row
//     of the table of bookkeeping, replaced only while its sequence is the one that was read.
//   - No value is altered to make it fit: what a column does not tell to the last bit lies in `_exact`.
//   - Credentials are read at each request, and are in no error.
//
// It speaks HTTP itself, with Arrow's IPC format as bodies: no client for Go exists that needs no cgo.
//
// Layout: a row's ID is `<document>:<key>`, see rowID; the columns of a table lie beside the sink's own, which begin with an underscore. The table
// `freshet` of the same namespace holds bookkeeping.
package lancedb
