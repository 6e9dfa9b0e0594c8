package kafka

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-dev/freshet/stream"
)

// ControlAddresses returns where the processes of a flow answer: the control addresses of the members of its groups, in
// order, each once. A group that does not exist has no members.
func (c Cluster) ControlAddresses(ctx context.Context, flow string, targets []string) (addresses []string, err error) {
	groups := []string{ProcessorGroup(flow)}
	for _, t := range targets {
		groups = append(groups, TargetGroup(flow, t))
	}
	err = c.admin(func(adm *kadm.Client) error {
		described, err := adm.DescribeGroups(ctx, groups...)
		if err != nil {
			return &stream.Error{Op: "describe the groups of flow " + flow, Kind: stream.Transient, Err: err}
		}
		for _, g := range described.Sorted() {
			for _, m := range g.Members {
				// A group of consumers has its metadata decoded; the address stands in what is left to the balancer.
				if joined, ok := m.Join.AsConsumer(); ok {
					addresses = append(addresses, controlAddress(joined.AppendTo(nil)))
				}
			}
		}
		return nil
	})
	slices.Sort(addresses)
	addresses = slices.Compact(addresses)
	if len(addresses) > 0 && addresses[0] == "" {
		addresses = addresses[1:] // of members that tell none
	}
	return addresses, err
}
