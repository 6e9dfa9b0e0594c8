package kafka

// How many use records of each partition one round looks at, in search of memos to collect, and how many it deletes at the most: when
// nothing else is to be done, and beside live changes, once a sweep has waited for a moment without them for too long.
const (
	sweepAtOnce = 4096
	sweepBeside = 256
)

// sweep looks for memos of a partition that no document has used for longer than the retention, and reports whether the
// partition's transaction is to collect some.
func (p *Processor) sweep(o *owned, records int) (found bool, err error) {
	switch {
	case records == 0 && !o.part.Busy():
		return o.part.Sweep(sweepAtOnce)
	case o.part.SweepLate():
		return o.part.Sweep(sweepBeside)
	}
	return false, nil
}
