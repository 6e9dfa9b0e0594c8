//go:build !bench

package brokertest

import "time"

// Limits that only a machine that hangs exceeds; bench/run.sh takeover has the promised ones.
const (
	takeoverLimit = time.Minute
	idleLimit     = time.Minute
)
