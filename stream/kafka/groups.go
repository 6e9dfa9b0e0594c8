package kafka

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/stream"
)

// AwaitEmpty returns once a group has no members, or ctx ends (kind Transient).
func (c Cluster) AwaitEmpty(ctx context.Context, group string) error {
	return c.admin(func(adm *kadm.Client) error {
		for {
			described, err := adm.DescribeGroups(ctx, group)
			if err == nil && len(described[group].Members) == 0 {
				return nil
			}
			if e := pause(ctx, 200*time.Millisecond); e != nil {
				return &stream.Error{Op: "wait until group " + group + " has no members", Kind: stream.Transient, Err: errors.Join(e, err)}
			}
		}
	})
}

// ForgetGroup deletes what a group without members has committed; nothing when it never was.
func (c Cluster) ForgetGroup(ctx context.Context, group string) error {
	return c.admin(func(adm *kadm.Client) error {
		_, err := adm.DeleteGroup(ctx, group)
		if err == nil || errors.Is(err, kerr.GroupIDNotFound) {
			return nil
		}
		return &stream.Error{Op: "delete the offsets of group " + group, Kind: stream.Usage, Err: err}
	})
}
