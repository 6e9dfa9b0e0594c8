// Package opensearch keeps tables of a flow in OpenSearch: an index for each behind an alias, a document for each row, by the
// protocol of package guard, since OpenSearch has no transactions.
//
// It upholds:
//   - Invariant 3: rows are written by external versions, so a document of a newer one is left alone. Where that write finds a
//     document of its own version or a newer one, the document is read, package guard's rule decides, and the row is written under
//     the condition that the document is still the one that was read. (external_gte alone would let a stale writer take away
//     the mark by which a rebuild knows what it has met: equal versions are told apart by the writer's epoch.)
//   - Invariant 4: a deleted row leaves a tombstone, a document that holds the version. The server's own memory of deletes
//     (`index.gc_deletes`) is not relied on, and turned off. The alias filters tombstones out.
//   - No value is altered to make it fit: a document's source comes back as it was sent, and what JSON or an index can't hold lies
//     in `_freshet.exact`.
//   - Nothing makes an index by writing to it: rows go by the alias, and only if it is one.
//   - Secrets are read at each request, and are in no error.
//
// It speaks HTTP itself: of the REST interface it needs a dozen requests whose bodies are its own; what is asked again is decided by package
// guard, item by item, so the retries and the pool of nodes of a client would be turned off; and credentials have to be
// read at each request.
//
// Layout: the index of a table is `<prefix><table>~1`, its alias `<prefix><table>`; a document's ID is `<document>` or
// `<document>:<key>`, see rowID; columns are fields, all else is in the object `_freshet`. The index `<prefix>freshet~1` holds bookkeeping. The
// index of an edition that is shown has the front, `<prefix><front>`, for another alias.
package opensearch
