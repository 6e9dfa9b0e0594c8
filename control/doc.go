// Package control is each process's local HTTP: what it does now (/v1/status, /metrics, /livez, /readyz), what its state
// holds (/v1/documents), and what people ask of it (/v1/search, /v1/rebuild); with the client that commands use. It knows
// the process through a Source only.
//
// It listens on loopback unless told otherwise, and refuses there what a web page of another origin could send. It never
// shows settings, so no secret can leave by it. Reading never changes or blocks the work: stores are pinned for moments.
package control
