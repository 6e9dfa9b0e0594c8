// Package feast keeps tables of a flow in the online store of Feast, by the HTTP API of its feature server: a feature view for each, by the protocol
// of package guard. The API pushes rows and reads them by their keys. It neither deletes, nor lists, nor compares; what it has is a rule: a row whose
// event timestamp is not above the one held is left out. All of this package is made of that rule.
//
// It upholds:
//   - Invariant 3: what a flow knows of its rows lies in pages of a feature view of bookkeeping: version, epoch, and the event timestamp that each
//     row was given. A page is replaced by a row that is one microsecond above the one that was read: of two that replace the same, the second is
//     left out, and who reads the page back sees whose it is. So versions are compared in one order, and rows that lost are not pushed; a row
//     that won is pushed under a timestamp above all earlier ones of its key, so it wins over them in whatever order they arrive.
//   - Invariant 4: a deleted row leaves a tombstone: a row without features whose `_deleted` is true. The partition's place is a page of its own.
//   - No value is altered to make it fit: what a feature does not tell to the last bit lies in `_exact`.
//   - The token is read at each request, and is in no error.
//
// It can't uphold more than Feast does: the server looks at the timestamp held, and then writes, in two steps. Of two that pass between them, the
// later replaces the earlier one, though both were told to have been done. Each reads back what it wrote, so this takes a server that stands still between its
// two steps for as long as the other needs for both, an answer, and a further request. See docs/decisions/024.
//
// Layout: feature view `freshet` (a setting) holds documents and pages; a table's view holds its features beside `_document`, `_key`, `_version`,
// `_deleted`, `_lineage` and `_exact`, and under headerKey a row that says what the table was made with.
package feast
