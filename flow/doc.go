// Package flow turns a flow file into a checked program: YAML is decoded strictly, names are resolved into a DAG of nodes
// with nested element scopes, formulas are compiled and typed, and the result evaluates documents into rows.
//
// It upholds:
//
//   - Every fault of a file is reported at once, with file, line, column and a suggestion.
//   - A setting whose behaviour isn't built is refused, never ignored.
//   - Invariant 7: a node's memo identity holds its operator, the operator's version and every setting that can change the
//     output; formulas count by their checked AST with references resolved, so that renaming a node or an element, or
//     reformatting a formula, recomputes nothing.
//   - Evaluation is a pure function of the document's input: equal inputs give byte-equal rows in the same order.
package flow
