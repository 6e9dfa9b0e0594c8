// Package redis keeps tables of a flow in Redis or Valkey, for look-ups of one row: a hash for each row, by the protocol of package guard.
//
// It upholds:
//   - Invariant 3: rows are written by a script, atomic on the server, that compares the version held with the new one.
//   - Invariant 4: the same script compares the place of the partition with what the writer saw of it, so a stale writer changes nothing,
//     however late its request comes. A deleted row leaves a versioned tombstone in a hash of its own, out of readers' sight, so that a
//     replay can't bring it back.
//   - Rows and places are on one server. What it forgets (a restart without persistence, a failover to a replica that is behind) it forgets of
//     both, back to one moment; the writer sees that its place went back and writes the rows again.
//   - No value is altered to make it fit: what its text does not say exactly is kept beside it, in `_exact`.
//   - Secrets are read at each connection, and are in no error.
//
// A script runs for at most one put of package guard (256 rows or 4 MiB, or one row that is larger), since nothing else runs meanwhile.
// Layout: the hash of a row is <prefix>:<table>:<document>, or <prefix>:<table>:<document>:<key>; its fields are the columns and `_document`,
// `_key`, `_version`, `_epoch`, `_partition`, `_lineage`, `_exact`. What starts with <prefix>:_freshet is bookkeeping.
package redis
