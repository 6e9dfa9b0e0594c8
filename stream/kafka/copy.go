package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// CopyState reads the state that a flow's processors have committed into stores of the caller's, which close them. It takes
// part in nothing: the processors may go on meanwhile.
func (c Cluster) CopyState(ctx context.Context, flow string, stores Stores) (map[int32]Store, error) {
	targets, id, err := c.committedState(ctx, flow)
	if err != nil {
		return nil, err
	}
	p := NewProcessor(ProcessorConfig{Cluster: c, Topics: Topics{Flow: flow, Partitions: int32(len(targets)), ChangelogID: id}, Stores: stores,
		Engine: engine.Config{Now: func() int64 { return time.Now().UnixNano() }}})
	var mu sync.Mutex
	copies := map[int32]Store{}
	failed := sideways(targets, func(id int32, target int64) error {
		store, err := stores.Open(id)
		if err != nil {
			return err
		}
		mu.Lock()
		copies[id] = store
		mu.Unlock()
		_, err = p.catchUp(ctx, &opening{id: id}, store, none, target)
		return err
	})
	for _, one := range failed {
		err = errors.Join(err, one)
	}
	if err != nil {
		for _, s := range copies {
			_ = s.Close() // it is no use
		}
		return nil, err
	}
	return copies, nil
}

// committedState returns for each partition the last offset of the changelog that belongs to what the processors committed, -1
// where there is nothing, and the changelog's topic ID.
func (c Cluster) committedState(ctx context.Context, flow string) (targets Ends, id string, err error) {
	topic := changelogTopic(flow)
	err = c.admin(func(adm *kadm.Client) error {
		details, err := adm.ListTopics(ctx, topic)
		if err == nil {
			err = details.Error()
		}
		if err != nil {
			return &stream.Error{Op: "look up topic " + topic, Kind: stream.Transient, Err: err}
		}
		id = details[topic].ID.String()
		if targets, err = ends(adm.ListEndOffsets(ctx, topic)); err != nil {
			return err
		}
		for partition := range targets {
			targets[partition]--
		}
		held, err := groupOffsets(ctx, adm, ProcessorGroup(flow))
		if err != nil {
			return err
		}
		held.Each(func(o kadm.OffsetResponse) {
			if m, err := schemas.DecodeCommit(o.Metadata); err == nil && m.TopicID == id {
				targets[o.Partition] = m.Progress
			}
		})
		return nil
	})
	return targets, id, err
}
