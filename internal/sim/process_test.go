//go:build synctests

package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// process is one start of a replica: a processor, and a delivery to every target.
type process struct {
	w       *world
	replica int
	link    *link
	disk    disk
	cancel  context.CancelFunc
	group   sync.WaitGroup
	ev      *engine.Evaluator
	proc    *kafka.Processor
	clients clients

	mu     sync.Mutex
	folded about
	polled about // by the intake: of the documents' partitions
	dead   bool  // killed, or stopped: what it says no longer counts
	err    error
	ended  bool
}

// start starts a replica on a disk.
func (w *world) start(replica int, d disk) *process {
	w.starts++
	p := &process{w: w, replica: replica, disk: d, link: &link{dial: w.dial},
		folded: about{next: map[int32]bool{}}, polled: about{next: map[int32]bool{}}}
	cluster := w.flow
	cluster.Dial = p.link.open
	cluster.Hooks = []kgo.Hook{&p.clients}
	cluster.Log = w.log.With("process", w.starts)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	program, totals := newLines(&w.mood, w.revision), &engine.Totals{}
	p.ev = engine.NewEvaluator(ctx, program, totals, engine.Events{})
	p.proc = kafka.NewProcessor(kafka.ProcessorConfig{Cluster: cluster, Topics: w.topics, TransactionalID: fmt.Sprint(flowName, ".", replica),
		Instance: p.instance(), Evaluator: p.ev, Totals: totals, Stores: d, MaxPoll: w.maxPoll, RestorePiece: w.piece, At: p.at, Standbys: w.standbys, Revision: w.revision,
		Engine: engine.Config{Program: program, Source: w.reads(), Decoder: noting{w.decoder(), p}, Now: w.now, MaxRecord: maxRow,
			MemoRetention: w.retention}})
	p.run(ctx, p.proc.Run)
	if w.several {
		p.run(ctx, p.intake(cluster).Run)
	}
	tables := map[string]stream.Table{}
	for _, t := range program.Tables() {
		tables[t.Name] = t
	}
	for _, t := range w.targets {
		d := kafka.NewDelivery(kafka.DeliveryConfig{Cluster: cluster, Topics: w.topics, Target: t.title(), Sink: p.through(t), Instance: p.instance(),
			Logic: program.Logic(), Tables: tables, Now: func() time.Time { return time.Unix(0, w.now()) }})
		p.run(ctx, d.Run)
	}
	w.mu.Lock()
	w.running = append(w.running, p)
	w.totals = append(w.totals, totals)
	w.mu.Unlock()
	return p
}

// instance is the name of a static member; "": it is a dynamic one.
func (p *process) instance() string {
	if !p.w.static {
		return ""
	}
	return fmt.Sprint("replica", p.replica)
}

func (p *process) run(ctx context.Context, run func(context.Context) error) {
	p.group.Go(func() {
		err := run(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.err == nil {
			p.err = err
		}
		if err != nil {
			p.ended = true
		}
	})
}

// failure is why the process ended by itself, if it did.
func (p *process) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return nil
	}
	return p.err
}

// kill takes the process off the network and returns what its disk holds at this moment. It may be called at a point; its
// goroutines end later, and reach nobody.
func (p *process) kill() disk {
	p.link.sever()
	d := p.disk.copied()
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for i, other := range p.w.running {
		if other == p {
			p.w.running = append(p.w.running[:i:i], p.w.running[i+1:]...)
		}
	}
	p.w.ghosts = append(p.w.ghosts, p)
	p.cancel()
	return d
}

// stop ends the process cleanly.
func (p *process) stop() disk {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.cancel()
	p.group.Wait()
	p.ev.Wait()
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for i, other := range p.w.running {
		if other == p {
			p.w.running = append(p.w.running[:i:i], p.w.running[i+1:]...)
		}
	}
	return p.disk
}

// at is called by the processor at the points of a transaction.
func (p *process) at(point string) { p.meets(point, "F1", &p.folded) }

// about are the partitions of the transaction under way, and those met since it began, which the next one is about.
type about struct{ now, next map[int32]bool }

// meets is called at a point of a transaction, which begins at the first.
func (p *process) meets(point, first string, a *about) {
	p.mu.Lock()
	if point == first {
		a.now, a.next = a.next, map[int32]bool{}
	}
	now := a.now
	p.mu.Unlock()
	p.w.reached(p, point, now)
}

// noting tells a process which partitions its next transaction is about.
type noting struct {
	stream.Decoder
	p *process
}

func (n noting) Decode(r *stream.Record) (stream.Change, error) {
	n.p.mu.Lock()
	n.p.folded.next[r.Partition] = true
	n.p.mu.Unlock()
	return n.Decoder.Decode(r)
}
