// Package webhook keeps tables in step with a receiver that speaks HTTP: each batch is one POST of JSON, which the receiver takes whole or
// not at all. docs/targets/webhook.md has the protocol, examples/webhook-receiver a receiver.
//
// The receiver keeps, beside the rows, how far each partition is and who writes it (its place), and changes both in one transaction. It compares
// a POST's epoch and offset with the place in that transaction, and refuses with 409 and the place what does not follow. What it holds is asked
// for by GET.
//
// Invariants upheld, together with such a receiver (DESIGN.md, section 3): rows and the next offset move in one transaction (1, 5); an upsert or a
// delete whose version is below the one held has no effect (3); a POST of an epoch that is not the place's changes nothing (4). A POST whose answer
// was lost is sent again, byte for byte: the place in a refusal then tells whether the first one was taken.
package webhook
