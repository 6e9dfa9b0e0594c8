package engine

import "github.com/freshet-dev/freshet/stream"

// A source that leaves a flow takes its documents along: the first program without it deletes them, as if the source had. Nobody would
// hear of their deletes any more; and should the source come back, all of it is taken in again.

// sourceful is a program that says which sources it has.
type sourceful interface{ HasSource(name string) bool }

// leaves reports whether a document is of a source that the program does not have.
func leaves(program stream.Program, document string) bool {
	s, ok := program.(sourceful)
	return ok && !s.HasSource(sourceOf(document))
}

// left is leaves, for the program that runs.
func (c *Config) left(document string) bool { return leaves(c.Program, document) }

// leave folds the deletion of a committed document that no source holds any more.
func (t *Tx) leave(h Header) {
	d := t.add(h.ID, h, true)
	d.gone, d.deleted, d.loaded = true, true, true
	d.image = stream.Fingerprint{}
}
