//go:build synctests

package sim

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/schemas"
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

	mu      sync.Mutex
	touched map[int32]bool // partitions folded since the last transaction began
	current map[int32]bool // partitions of the transaction under way
	dead    bool           // killed, or stopped: what it says no longer counts
	err     error
	ended   bool
}

// start starts a replica on a disk.
func (w *world) start(replica int, d disk) *process {
	w.starts++
	p := &process{w: w, replica: replica, disk: d, link: &link{dial: w.network.DialContext},
		touched: map[int32]bool{}, current: map[int32]bool{}}
	cluster := w.flow
	cluster.Dial = p.link.open
	cluster.Log = w.log.With("process", w.starts)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	program, totals := newLines(&w.mood), &engine.Totals{}
	p.ev = engine.NewEvaluator(ctx, program, totals, engine.Events{})
	instance := ""
	if w.static {
		instance = fmt.Sprint("replica", replica)
	}
	proc := kafka.NewProcessor(kafka.ProcessorConfig{Cluster: cluster, Topics: w.topics, TransactionalID: fmt.Sprint(flowName, ".", replica),
		Instance: instance, Evaluator: p.ev, Totals: totals, Stores: d, MaxPoll: w.maxPoll, RestorePiece: w.piece, At: p.at,
		Engine: engine.Config{Program: program, Source: "page", Decoder: noting{schemas.NewFiles("page"), p}, Now: w.now, MaxRecord: maxRow}})
	p.run(ctx, proc.Run)
	tables := map[string]stream.Table{}
	for _, t := range program.Tables() {
		tables[t.Name] = t
	}
	for _, t := range w.targets {
		d := kafka.NewDelivery(kafka.DeliveryConfig{Cluster: cluster, Topics: w.topics, Target: t.title(), Sink: p.through(t), Instance: instance,
			Logic: program.Logic(), Tables: tables, Now: func() time.Time { return time.Unix(0, w.now()) }})
		p.run(ctx, d.Run)
	}
	w.mu.Lock()
	w.running = append(w.running, p)
	w.mu.Unlock()
	return p
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
func (p *process) at(point string) {
	p.mu.Lock()
	if point == "F1" {
		p.current, p.touched = p.touched, map[int32]bool{}
	}
	current := p.current
	p.mu.Unlock()
	p.w.reached(p, point, current)
}

// noting tells a process which partitions its next transaction is about.
type noting struct {
	stream.Decoder
	p *process
}

func (n noting) Decode(r *stream.Record) (stream.Change, error) {
	n.p.mu.Lock()
	n.p.touched[r.Partition] = true
	n.p.mu.Unlock()
	return n.Decoder.Decode(r)
}

// unanswered is how long a dial takes over a link that is cut.
const unanswered = 500 * time.Millisecond

// link is a process's way to the brokers and targets. While it is cut, whatever it does reaches nobody.
type link struct {
	dial  func(ctx context.Context, network, host string) (net.Conn, error)
	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func (l *link) open(ctx context.Context, network, host string) (net.Conn, error) {
	if l.isCut() {
		// Nobody answers, which takes its time: were the dial refused at once, a client could try for ever at one moment.
		select {
		case <-time.After(unanswered):
		case <-ctx.Done():
		}
		return nil, &net.OpError{Op: "dial", Net: "virtual", Err: net.ErrClosed}
	}
	c, err := l.dial(ctx, network, host)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = c.Close() // cut meanwhile
		return nil, &net.OpError{Op: "dial", Net: "virtual", Err: net.ErrClosed}
	}
	if l.conns == nil {
		l.conns = map[net.Conn]bool{}
	}
	l.conns[c] = true
	return c, nil
}

func (l *link) isCut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}

func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.conns {
		_ = c.Close() // it may be closed
	}
	l.conns = nil
}

func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}
