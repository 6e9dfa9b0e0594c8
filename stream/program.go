package stream

import "context"

// SourceSpec declares a kind of source, e.g. "files" or "debezium".
type SourceSpec struct {
	Name     string
	Doc      string
	Settings []Setting
	// Type is the type of the source's variable in formulas (a map of fields). declared is what the flow file's
	// `fields:` says, nil when it says nothing; a source of fixed fields refuses a declaration.
	Type func(s Settings, declared []Field) (Type, error)
	// Keyed says that the keys of its records come from elsewhere, so that an ID formula may name its documents.
	Keyed bool
	// Topic is the topic that the source's records lie on.
	Topic func(flow, source string, s Settings) string
}

// Document is what an evaluation is given: a document's stored input.
type Document struct {
	ID     string // "<source>/<key>"
	Source string
	Input  Value // map of fields; under "record" the record's metadata, when the flow reads it
}

// Node is a step of a flow that runs an operator.
type Node struct {
	Name     string
	Operator Operator
	Costly   bool        // results are memos
	Memo     Fingerprint // identity of its logic without its input: operator, version, settings that can change outputs
	Lineage  NodeLineage
	Price    float64 // of a million input tokens of its model, as declared; 0: none is
	Rate     float64 // most calls per second, by all replicas, as declared; 0: none is
	Limit    string  // its model's entry, whose nodes share the rate; "": it is the node's alone
}

// NodeLineage is what a row's lineage says of a node on its path.
type NodeLineage struct {
	Node     string `json:"node"`
	Operator string `json:"op"`
	Version  int    `json:"version"`
	Model    string `json:"model,omitempty"`
}

// MemoKey identifies the result of node for input (invariant 7).
func (n *Node) MemoKey(input Value) Fingerprint {
	in := FingerprintOf(input)
	return FingerprintBytes(append(append([]byte(nil), n.Memo[:]...), in[:]...))
}

// Calls runs the operators of an evaluation. The engine supplies it: memos, batches across documents, retries,
// deadlines. It is safe for concurrent use.
type Calls interface {
	// Call returns the node's output for each input, in order; null for a null input.
	Call(ctx context.Context, n *Node, inputs []Value) ([]Value, error)
	// Computed counts n evaluations of a formula node.
	Computed(node string, n int)
}

// Foreseen is what an evaluation would come to, as far as it is known without the results that calls stood something in for
// (StandIn).
type Foreseen struct {
	Rows   []Row    // those that the document would have
	Known  []bool   // by row: none of its values is a stand-in
	Unsure []string // what hangs on a missing result and can't be told; it is taken to be as much as can be
}

// Program is a checked flow, ready to evaluate documents. It is immutable and safe for concurrent use.
type Program interface {
	// Flow is the flow's name.
	Flow() string
	// Logic identifies everything that can change rows: nodes, formulas, tables.
	Logic() Fingerprint
	// ReadSet is the fingerprint of only those fields of a document's input that formulas read.
	ReadSet(d Document) Fingerprint
	// ReadsRecord reports whether formulas read the record's metadata, which then belongs to the input.
	ReadsRecord() bool
	// Evaluate computes the document's rows, in order of (table, key). Failures of the document itself have kind Invalid.
	Evaluate(ctx context.Context, d Document, calls Calls) ([]Row, error)
	// Tables are the declared tables, in order of name.
	Tables() []Table
	// TableLineage names the nodes on the path of a table's rows, in order.
	TableLineage(table string) []NodeLineage
	// Nodes are the names of all nodes, in order of evaluation.
	Nodes() []string
}
