//go:build bench

package brokertest

import "time"

// What is promised, on a machine that does nothing else.
const (
	takeoverLimit = 2 * time.Second // from the moment when the group knows that a member is gone to the first commit of whoever follows
	idleLimit     = 3 * time.Second // without a transaction of a partition while replicas are restarted
)
