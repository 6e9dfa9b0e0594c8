package split

import (
	"hash/fnv"

	"github.com/freshet-dev/freshet/operators/internal/markdown"
)

// piece is a chunk before it is given out: a span of the source and its tokens.
type piece struct{ start, end, tokens int }

// packer joins the atoms of one section into pieces of least to most tokens. Where it cuts is decided by content: of the
// cuts that make a piece of a good size, the coarsest, and among those the one whose next atom has the lowest hash. Two
// versions of a section therefore soon cut at the same places again behind an edit; cuts as late as possible would move
// through all of the rest.
type packer struct {
	source      string
	count       counter
	least, most int
}

func (p *packer) pack(atoms []atom) ([]piece, error) {
	var pieces []piece
	for len(atoms) > 0 {
		n := p.choose(atoms)
		made, used, err := p.fit(atoms, n)
		if err != nil {
			return nil, err
		}
		if made.start < made.end {
			pieces = append(pieces, made)
		}
		atoms = atoms[used:]
	}
	return pieces, nil
}

// choose returns how many atoms the next piece takes: all if they fit.
func (p *packer) choose(atoms []atom) int {
	sum, fit, best := 0, 1, 0
	for i, a := range atoms {
		sum += a.tokens
		if sum > p.most {
			break
		}
		fit = i + 1
		if sum >= p.least && fit < len(atoms) && (best == 0 || p.better(atoms[fit], atoms[best])) {
			best = fit
		}
	}
	if fit == len(atoms) || best == 0 {
		return fit
	}
	return best
}

// better reports whether a cut before a is better than one before b.
func (p *packer) better(a, b atom) bool {
	if a.before != b.before {
		return a.before < b.before
	}
	return p.hash(a) <= p.hash(b)
}

func (p *packer) hash(a atom) uint64 {
	h := fnv.New64a()
	start, end := markdown.Trim(p.source, a.start, a.end)
	_, _ = h.Write([]byte(p.source[start:end])) // a hash never fails
	return h.Sum64()
}

// fit makes a piece of the first n atoms, or of fewer: joined texts may have a few tokens more than their parts.
func (p *packer) fit(atoms []atom, n int) (made piece, used int, err error) {
	for ; ; n-- {
		made.start, made.end = markdown.Trim(p.source, atoms[0].start, atoms[n-1].end)
		made.tokens, err = p.count(p.source[made.start:made.end])
		if err != nil || made.tokens <= p.most || n == 1 {
			return made, n, err
		}
	}
}
