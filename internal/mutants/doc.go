// Package mutants proves that the tests see. Each mutant is a small change of production code that breaks a promise; its
// test must fail with it, and passes without it. A mutant whose text is no longer found is stale, which is a failure too:
// whoever changed the code says here what breaks the promise now.
//
// Mutants are laid over the sources by `go test -overlay`; nothing in the tree is touched.
package mutants
