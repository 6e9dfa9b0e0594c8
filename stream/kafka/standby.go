package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
)

// standby keeps the state of a partition that another replica owns: it follows the changelog into its own store, and
// writes nothing to Kafka. When the partition comes here, the ordinary restore finds next to nothing to do.
//
// Invariant 2: it reads what is committed, and its checkpoint moves only to progress records.
type standby struct {
	id      int32
	cancel  context.CancelFunc
	done    chan struct{}
	warming bool         // it is to own the partition once it is warm
	applied atomic.Int64 // offset of the last progress record in its store
	lag     atomic.Int64 // changelog offsets that it has not read; -1: not known yet
}

// StandbyStatus is what a replica says of a partition that it follows.
type StandbyStatus struct {
	Partition int32 `json:"partition"`
	Lag       int64 `json:"lag"` // changelog offsets that it has not read; -1: not known yet
	Warming   bool  `json:"warming,omitempty"`
}

// Standbys returns the partitions that this replica follows, in order. It is safe for concurrent use.
func (p *Processor) Standbys() []StandbyStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []StandbyStatus{}
	for _, id := range slices.Sorted(maps.Keys(p.standbys)) {
		s := p.standbys[id]
		out = append(out, StandbyStatus{Partition: id, Lag: s.lag.Load(), Warming: s.warming})
	}
	return out
}

// keepStandbys begins and ends standbys as the last assignment says. What is owned here, or being restored, is followed
// by nobody here: open waits for the standby's end before it touches the store.
func (p *Processor) keepStandbys(ctx context.Context) {
	follow := p.assign.following()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, s := range p.standbys {
		warming, ok := follow[id]
		s.warming = warming
		if !ok {
			s.cancel()
		}
		select {
		case <-s.done:
			p.disk[id] = s.applied.Load()
			delete(p.standbys, id)
		default:
		}
	}
	for id, warming := range follow {
		restoring := slices.ContainsFunc(p.opened, func(o *opening) bool { return o.id == id })
		if p.standbys[id] == nil && p.parts[id] == nil && !restoring {
			p.standbys[id] = p.stand(ctx, id, warming)
		}
	}
	p.probe()
}

func (p *Processor) stand(ctx context.Context, id int32, warming bool) *standby {
	ctx, cancel := context.WithCancel(ctx)
	s := &standby{id: id, cancel: cancel, done: make(chan struct{}), warming: warming}
	s.applied.Store(-1)
	s.lag.Store(-1)
	go func() {
		defer p.signal()
		defer close(s.done)
		p.standBy(ctx, s)
	}()
	return s
}

// standBy follows until ctx ends. A standby that can't go on leaves the partition's owner alone: it says so and tries
// again.
func (p *Processor) standBy(ctx context.Context, s *standby) {
	for wait := 100 * time.Millisecond; ctx.Err() == nil; wait = min(2*wait, 30*time.Second) {
		err := p.followOn(ctx, s)
		if ctx.Err() != nil {
			return
		}
		s.lag.Store(-1)
		p.log.Warn("following a partition failed; it is tried again", "flow", p.c.Topics.Flow, "partition", s.id, "error", err, "wait", wait)
		_ = pause(ctx, wait)
	}
}

// followPause lets records gather between two writes of a standby that is not behind.
const followPause = 200 * time.Millisecond

// followOn opens the store as a restore does, and follows the changelog until ctx ends or something fails.
func (p *Processor) followOn(ctx context.Context, s *standby) (err error) {
	at, err := p.logs(ctx, s.id)
	if err != nil {
		return err
	}
	store, held, err := p.openStore(s.id, schemas.CommitMeta{}, false, at)
	if err != nil {
		return err
	}
	defer func() {
		if e := store.Close(); err == nil {
			err = e
		}
	}()
	if held.Applied < 0 && at.changelogStart > 0 {
		return p.headless(s.id, at)
	}
	cl, err := p.follow(s.id, held)
	if err != nil {
		return err
	}
	defer p.unfollow(cl)
	c := p.catching(s.id, store, held)
	c.fetches, c.applied = &p.Metrics.StandbyFetches, &p.Metrics.StandbyRecords
	c.edge = at.changelogEnd
	s.applied.Store(held.Applied)
	s.lag.Store(max(0, c.edge-1-held.Applied))
	if err := c.loadUpTo(at.changelogEnd - 1); err != nil {
		return err
	}
	every := max(time.Second, min(time.Minute, p.c.Topics.Retention.Delete/16))
	for complete, asked := time.Now(), time.Now(); ; {
		if err := p.hear(ctx, s, c, cl); err != nil {
			return err
		}
		if time.Since(asked) >= every {
			asked = time.Now()
			if p.hasAll(ctx, c) {
				complete = asked
			}
		}
		// KAFKA-9891, KAFKA-19943: of what it did not have for so long, the deletes may be gone.
		if age := time.Since(complete); p.tooOld(age) {
			return fmt.Errorf("the changelog was not followed to its end for %s", age.Round(time.Second))
		}
	}
}

func (p *Processor) tooOld(age time.Duration) bool {
	return !p.c.Cluster.Embedded && age > p.c.Topics.Retention.Delete/2
}

// hasAll reports whether all that is committed was read, and if so, renews the age of a checkpoint that has it all.
func (p *Processor) hasAll(ctx context.Context, c *catching) bool {
	var end int64
	now := p.c.Engine.Now()
	err := p.c.Cluster.admin(func(adm *kadm.Client) error {
		listed, err := adm.ListCommittedOffsets(ctx, changelogTopic(p.c.Topics.Flow))
		o, _ := listed.Lookup(changelogTopic(p.c.Topics.Flow), c.id)
		end = o.Offset
		return errors.Join(err, o.Err)
	})
	if err != nil || c.at+1 < end {
		return false
	}
	if age := time.Duration(now - c.held.Clock); c.since == 0 && c.held.Applied >= 0 && age > p.c.Topics.Retention.Delete/16 {
		c.held.Clock = now
		c.last = c.held
		if err := c.store.Apply(nil, c.held); err != nil {
			p.log.Warn("renewing a checkpoint failed", "partition", c.id, "error", err)
		}
	}
	return true
}

// hear takes what comes within a second and writes it up to the last progress record.
func (p *Processor) hear(ctx context.Context, s *standby, c *catching, cl *kgo.Client) error {
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := c.poll(short, cl, math.MaxInt64); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	write := c.apply
	if c.load != nil && s.lag.Load() <= p.c.WarmLag {
		write = c.loaded
	}
	if c.last.Applied > c.held.Applied {
		if err := write(); err != nil {
			return storeError("apply the state that is followed", err)
		}
	}
	s.applied.Store(c.held.Applied)
	s.lag.Store(max(0, c.edge-1-c.at))
	if s.lag.Load() < p.c.WarmLag {
		return pause(ctx, followPause)
	}
	return nil
}

// probe asks for a rebalance when a partition that this replica is to own is warm here.
func (p *Processor) probe() {
	for _, s := range p.standbys {
		if lag := s.lag.Load(); s.warming && s.applied.Load() >= 0 && lag >= 0 && lag <= p.c.WarmLag && time.Since(p.probed) > 10*time.Second {
			p.probed = time.Now()
			p.gts.Client().ForceRebalance()
		}
	}
}

// held is how far this replica's stores are, by partition. It is safe for concurrent use.
func (p *Processor) held() map[int32]int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := maps.Clone(p.disk)
	for id, s := range p.standbys {
		out[id] = s.applied.Load()
	}
	for id, o := range p.parts {
		out[id] = o.applied
	}
	for id, at := range out {
		if at < 0 {
			delete(out, id)
		}
	}
	return out
}
