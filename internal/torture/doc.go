// Package torture kills real Freshet processes on a real broker and compares what their target holds with an
// uninterrupted run. Its tests are the proof of invariants 1 to 6 that no simulation gives.
package torture
