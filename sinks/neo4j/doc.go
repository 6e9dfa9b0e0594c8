// Package neo4j keeps tables of a flow in a Neo4j database as a property graph: rows as nodes, or as relationships between them.
//
// Rows and the place reached in the rows topic are written in one transaction, so the target is exactly once by itself. It upholds:
//   - Invariant 3: an upsert or delete takes effect only on a row whose version is lower.
//   - Invariant 4: every partition has a node with an epoch that Assign raises; each transaction first locks that node and compares the epoch,
//     which waits for a zombie's open transaction and then shuts the zombie out.
//   - Invariant 5, as far as Neo4j goes: a batch, whole units, is one transaction, and so is the switch to a rebuilt partition; but Neo4j's
//     readers may see a part of a transaction while it commits.
//   - The graph is a function of the rows: a merged node is what its contributions give, and a relationship is there exactly while its row and
//     the nodes at both of its ends are (decision 020).
//   - No value is altered to make it fit; what a property can't hold lies in it in a form that comes back exactly.
//
// Layout: a node table's rows are nodes with its label, the columns and _document, _key, _version, _partition, _lineage. The rows of tables of
// relationships and of shared tables lie in nodes of the label _freshet_row, and what readers see is derived from those. Labels that start with
// _freshet_ are bookkeeping.
package neo4j
