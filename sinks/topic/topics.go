package topic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/stream"
)

// deleteRetention is how long tombstones stay on new topics: a consumer that sleeps for longer reads from the start.
const deleteRetention = 7 * 24 * time.Hour

// description is a topic as it is on the cluster.
type description struct {
	exists     bool
	id         string
	partitions int32
	policy     string // cleanup.policy; only from shapes
	bytes      int32  // max.message.bytes; only from shapes
}

// admin calls fn with a client for administration, again while brokers say that it may go away by itself.
func (s *Sink) admin(ctx context.Context, fn func(*kadm.Client) error) error {
	cl, err := s.client()
	if err != nil {
		return err
	}
	return persist(ctx, func() error { return fn(kadm.NewClient(cl)) })
}

// persist repeats what fails for the moment: leaders that move, brokers that come.
func persist(ctx context.Context, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := fn()
		if err == nil || !kerr.IsRetriable(err) && !errors.Is(err, kerr.InvalidReplicationFactor) { // of brokers that are away now
			return err
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return err
		}
	}
}

// describe says what a topic is; without its settings.
func (s *Sink) describe(ctx context.Context, topic string) (description, error) {
	found, err := s.describeAll(ctx, topic)
	return found[topic], err
}

// describeAll says what topics are; without their settings.
func (s *Sink) describeAll(ctx context.Context, topics ...string) (map[string]description, error) {
	out := map[string]description{}
	return out, s.admin(ctx, func(adm *kadm.Client) error {
		found, err := adm.ListTopics(ctx, topics...)
		if err != nil {
			return err
		}
		for _, name := range topics {
			t := found[name]
			if errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
				continue
			}
			if t.Err != nil {
				return fmt.Errorf("look up topic %s: %w", name, t.Err)
			}
			for _, p := range t.Partitions {
				if p.Leader < 0 || p.Err != nil {
					return fmt.Errorf("look up topic %s, partition %d: %w", name, p.Partition, kerr.LeaderNotAvailable)
				}
			}
			out[name] = description{exists: true, id: t.ID.String(), partitions: int32(len(t.Partitions))}
		}
		return nil
	})
}

// shapes says what topics are, and how they are cleaned.
func (s *Sink) shapes(ctx context.Context, topics ...string) (map[string]description, error) {
	out, err := s.describeAll(ctx, topics...)
	if err != nil || len(out) == 0 {
		return out, err
	}
	return out, s.admin(ctx, func(adm *kadm.Client) error {
		found, err := adm.DescribeTopicConfigs(ctx, slices.Collect(maps.Keys(out))...)
		if err != nil {
			return err
		}
		for _, c := range found {
			d := out[c.Name]
			if errors.Is(c.Err, kerr.UnknownTopicOrPartition) {
				delete(out, c.Name) // it went meanwhile
				continue
			}
			if c.Err != nil {
				return fmt.Errorf("read the settings of topic %s: %w", c.Name, c.Err)
			}
			for _, kv := range c.Configs {
				switch {
				case kv.Value == nil:
				case kv.Key == "cleanup.policy":
					d.policy = *kv.Value
				case kv.Key == "max.message.bytes":
					n, _ := strconv.ParseInt(*kv.Value, 10, 32) // brokers give numbers
					d.bytes = int32(n)
				}
			}
			out[c.Name] = d
		}
		return nil
	})
}

const compact = "compact"

func settings(policy string, replicas int) map[string]*string {
	out := map[string]*string{"cleanup.policy": kadm.StringPtr(policy), "max.message.bytes": kadm.StringPtr(strconv.Itoa(maxMessageBytes)),
		"unclean.leader.election.enable": kadm.StringPtr("false")}
	if replicas >= 3 {
		out["min.insync.replicas"] = kadm.StringPtr("2")
	}
	if policy == compact {
		out["delete.retention.ms"] = kadm.StringPtr(strconv.FormatInt(deleteRetention.Milliseconds(), 10))
	} else {
		out["retention.ms"] = kadm.StringPtr("-1")
	}
	return out
}

// ensure makes a topic that is absent, and waits until it can be used.
func (s *Sink) ensure(ctx context.Context, topic, policy string, partitions int32) (description, error) {
	d, err := s.describe(ctx, topic)
	if err != nil || d.exists {
		return d, err
	}
	err = s.admin(ctx, func(adm *kadm.Client) error {
		brokers, err := adm.ListBrokers(ctx)
		if err != nil {
			return err
		}
		replicas := min(3, len(brokers))
		_, err = adm.CreateTopic(ctx, partitions, int16(replicas), settings(policy, replicas), topic)
		return err
	})
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return d, fmt.Errorf("create topic %s: %w", topic, err)
	}
	return s.await(ctx, topic, 1)
}

// await waits until a topic has so many partitions, all with leaders.
func (s *Sink) await(ctx context.Context, topic string, partitions int32) (d description, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if d, err = s.describe(ctx, topic); err == nil && d.exists && d.partitions >= partitions {
			return d, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return d, fmt.Errorf("wait for topic %s: %w", topic, err)
		}
	}
}

// grow gives each topic of the target so many partitions, if it has fewer.
func (s *Sink) grow(ctx context.Context, partitions int32) error {
	s.growing.Lock()
	defer s.growing.Unlock()
	topics := append(s.topics(), s.names.places, s.names.stage)
	found, err := s.describeAll(ctx, topics...)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		d := found[topic]
		switch {
		case !d.exists:
			return stream.Errorf(stream.Usage, s.op("write to"), "topic %s is gone; start the flow again to build it anew", topic)
		case d.partitions >= partitions:
			continue
		}
		err = s.admin(ctx, func(adm *kadm.Client) error {
			resp, err := adm.UpdatePartitions(ctx, int(partitions), topic)
			if err == nil {
				err = resp.Error()
			}
			return err
		})
		if err != nil && !errors.Is(err, kerr.InvalidPartitions) { // else another process was faster
			return fmt.Errorf("give topic %s %d partitions: %w", topic, partitions, err)
		}
		if _, err := s.await(ctx, topic, partitions); err != nil {
			return err
		}
	}
	return nil
}

// topics are those of the tables.
func (s *Sink) topics() []string {
	out := make([]string, len(s.tables))
	for i, t := range s.tables {
		out[i] = t.topic
	}
	return out
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
