package kafka

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// Outdated is why a process yields: another revision of the flow than the one that it runs is the present one, or has written already
// what it was given to go on with (invariant 10).
type Outdated struct{ Runs, Found int64 }

// Error says which revision it was.
func (e *Outdated) Error() string {
	return fmt.Sprintf("revision %d of the flow is in force, this process runs revision %d", e.Found, e.Runs)
}

// Recorded are the records of a flow's meta topic that say how it is run.
type Recorded struct {
	Declaration *schemas.Declaration // nil: it has not run yet
	Backfill    schemas.Backfill
}

// Recorded reads what a flow's meta topic says of now; nothing for a flow without one.
func (c Cluster) Recorded(ctx context.Context, flow string) (r Recorded, err error) {
	present, err := c.present(ctx, metaTopic(flow))
	if err != nil || !present {
		return r, err
	}
	m, err := c.meta(ctx, flow)
	return Recorded{m.Declaration, value(m.Backfill)}, err
}

func (c Cluster) present(ctx context.Context, topic string) (found bool, err error) {
	err = c.admin(func(adm *kadm.Client) error {
		there, err := look(ctx, adm, []string{topic})
		_, found = there[topic]
		return err
	})
	return found, err
}

// Revisions returns all recorded declarations of a flow, in order.
func (c Cluster) Revisions(ctx context.Context, flow string) ([]schemas.Declaration, error) {
	byNumber := map[int64]schemas.Declaration{}
	err := c.scan(ctx, metaTopic(flow), func(r *kgo.Record) error {
		m, err := schemas.DecodeMeta(fromKafka(r))
		if m.Past != nil {
			byNumber[m.Past.Revision] = *m.Past
		}
		return err
	})
	var all []schemas.Declaration
	for _, d := range byNumber {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b schemas.Declaration) int { return int(a.Revision - b.Revision) })
	return all, err
}

// Record makes a declaration the present one, if it has the number after that of the present one. When another process recorded a
// revision meanwhile, nothing is written (kind Usage, wrapping *Outdated); that which is present already is not written again.
// Processes that follow the flow take it over.
func (c Cluster) Record(ctx context.Context, flow string, d schemas.Declaration) error {
	all, err := schemas.EncodeDeclaration(d)
	if err != nil {
		return err
	}
	for {
		if is, err := c.follows(ctx, flow, d); is || err != nil {
			return err
		}
		if c.Embedded { // no other process reaches the broker
			return c.writeMeta(ctx, flow, all...)
		}
		err := c.recordAlone(ctx, flow, d, all)
		if !isFenced(err) {
			return err
		}
		// Another process records at the same moment: what it wrote, if it did, is seen at the next try.
		if err := pause(ctx, rand.N(lookEvery/20)); err != nil {
			return &stream.Error{Op: fmt.Sprintf("record revision %d of flow %s", d.Revision, flow), Kind: stream.Transient, Err: err}
		}
	}
}

// recordAlone is Record in a transaction, which is fenced when another process begins one of its own after it: what is looked at stays as it is.
func (c Cluster) recordAlone(ctx context.Context, flow string, d schemas.Declaration, all []stream.Record) error {
	op := fmt.Sprintf("record revision %d of flow %s", d.Revision, flow)
	cl, err := c.client(kgo.TransactionalID(metaTopic(flow)), kgo.TransactionTimeout(c.patience()), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(MaxMessageBytes-16<<10))
	if err != nil {
		return err
	}
	defer cl.Close()
	if _, _, err := cl.ProducerID(ctx); err != nil {
		return &stream.Error{Op: op, Kind: stream.Transient, Err: err}
	}
	if is, err := c.follows(ctx, flow, d); is || err != nil {
		return err
	}
	if err := cl.BeginTransaction(); err != nil {
		return &stream.Error{Op: op, Kind: stream.Transient, Err: err}
	}
	var records []*kgo.Record
	for i := range all {
		records = append(records, toKafka(metaTopic(flow), 0, &all[i]))
	}
	failure := cl.ProduceSync(ctx, records...).FirstErr()
	ended := cl.EndTransaction(ctx, kgo.TransactionEndTry(failure == nil))
	if err := cmp.Or(failure, ended); err != nil {
		return &stream.Error{Op: op, Kind: stream.Transient, Err: err}
	}
	return nil
}

// follows reports whether a declaration is the present one; one that isn't, nor follows it, is an error.
func (c Cluster) follows(ctx context.Context, flow string, d schemas.Declaration) (is bool, err error) {
	r, err := c.Recorded(ctx, flow)
	if err != nil {
		return false, err
	}
	present := value(r.Declaration)
	if present.Revision == d.Revision-1 {
		return false, nil
	}
	if present.Revision == d.Revision && bytes.Equal(present.Body, d.Body) && slices.Equal(present.Editions, d.Editions) {
		return true, nil
	}
	return false, &stream.Error{Op: fmt.Sprintf("record revision %d of flow %s", d.Revision, flow), Kind: stream.Usage,
		Err: &Outdated{Runs: d.Revision - 1, Found: present.Revision}}
}

// SetBackfill says how fast processes that follow the flow evaluate documents again.
func (c Cluster) SetBackfill(ctx context.Context, flow string, b schemas.Backfill) error {
	r, err := schemas.EncodeBackfill(b)
	if err != nil {
		return err
	}
	return c.writeMeta(ctx, flow, r)
}

// Follow looks at what is recorded of a flow until ctx ends (nil), or a revision other than the one that the caller runs is
// the present one (kind Usage, wrapping *Outdated). pace is told how fast the backfill is to be, at first and when that changed. Brokers
// that are away are waited for.
func (c Cluster) Follow(ctx context.Context, flow string, runs schemas.Declaration, pace func(schemas.Backfill)) error {
	read := int64(-1) // end of the meta topic when it was read
	for {
		found, err := c.changed(ctx, flow, &read)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.Log.Debug("what is recorded of the flow can't be read; it is tried again", "flow", flow, "error", err)
		case found != nil:
			pace(found.Backfill)
			// Two processes that began a flow at the same time may both have recorded its first revision.
			if d := found.Declaration; d != nil && (d.Revision != runs.Revision || !bytes.Equal(d.Body, runs.Body)) {
				return &stream.Error{Op: "follow flow " + flow, Kind: stream.Usage, Err: &Outdated{Runs: runs.Revision, Found: d.Revision}}
			}
		}
		if pause(ctx, lookEvery) != nil {
			return nil
		}
	}
}

// YieldGroup is the consumer group of a flow's processes that yield to another revision and are in no other. No target's name begins with a dot.
func YieldGroup(flow string) string { return flow + "..yielding" }

// Yield tells the group of those that yield a process's control address, until leave is called: whoever looks for the flow's processes finds it
// there. It reads nothing.
func (c Cluster) Yield(flow, address string) (leave func(context.Context), err error) {
	topic := metaTopic(flow)
	cl, err := c.client(kgo.ConsumerGroup(YieldGroup(flow)), kgo.ConsumeTopics(topic), kgo.Balancers(newBalancer(address, bystander{})),
		kgo.DisableAutoCommit(), kgo.SessionTimeout(c.patience()), kgo.HeartbeatInterval(c.patience()/10))
	if err != nil {
		return nil, err
	}
	cl.PauseFetchTopics(topic)
	return func(ctx context.Context) { closeClient(ctx, cl) }, nil
}

// bystander is the membership of who does nothing with what it is given.
type bystander struct{}

func (bystander) claims(map[string][]int32)         {}
func (bystander) synced(map[string][]int32, duties) {}

// changed reads what is recorded when the meta topic is longer than it was; else it returns nil.
func (c Cluster) changed(ctx context.Context, flow string, read *int64) (*Recorded, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	var end int64
	err := c.admin(func(adm *kadm.Client) error {
		all, err := ends(adm.ListEndOffsets(ctx, metaTopic(flow)))
		end = all[0]
		return err
	})
	if err != nil || end == *read {
		return nil, err
	}
	r, err := c.Recorded(ctx, flow)
	if err != nil {
		return nil, err
	}
	*read = end
	return &r, nil
}

// SetPace says how fast documents of the backlog are evaluated; it may be called at any time.
func (p *Processor) SetPace(b schemas.Backfill) {
	p.pacer.set(b)
	p.signal()
}

func (p *Processor) now() time.Time { return time.Unix(0, p.c.Engine.Now()) }

// share is the part of the flow's partitions that this replica processes.
func (p *Processor) share() float64 {
	return float64(len(p.parts)) / float64(max(1, p.c.Topics.Partitions))
}
