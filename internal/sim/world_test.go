//go:build synctests

package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
)

const (
	flowName = "sim"
	maxRow   = 2048 // bytes of a row record, in place of 16 MiB
	// patience is when a run gives up waiting. In virtual time it costs little.
	patience = 10 * time.Minute
)

// target is a place that rows are delivered to. It outlives processes.
type target interface {
	title() string
	// sink returns a process's connection to it, opened.
	sink(p *process) stream.Sink
	// next returns the stored offset of every partition that is not being rebuilt.
	next() map[int32]int64
	// all returns what a reader sees: document → key → text.
	all() map[string]map[string]string
	// problems returns what was seen that must not be.
	problems() []string
	// keep takes a backup; restore brings it back, and reports whether there is one.
	keep()
	restore() bool
}

// world is one run: the broker, the targets, the model, and the processes as they come and go.
type world struct {
	t          testing.TB
	rng        *rand.Rand
	network    *kfake.VirtualNetwork
	broker     *kfake.Cluster
	flow       kafka.Cluster
	topics     kafka.Topics
	source     kafka.Source
	client     *kgo.Client
	log        *slog.Logger
	model      *model
	author     *author
	targets    []target
	shop       *shop // one of the targets
	mood       mood
	fences     fences
	static     bool // replicas are static members
	several    bool // the flow reads two sources, through an intake
	standbys   int
	retention  time.Duration    // of memos; 0: for ever
	revision   int64            // that processes run which start now
	totals     []*engine.Totals // of all processes
	badger     string           // the directory of all disks; "": they are in memory
	homes      map[string]int32 // partitions, by topic and record key of a source
	maxPoll    int
	piece      int // entries that a restore writes at once
	partitions int32
	skew       time.Duration
	twins      int          // that were started as a replica that runs
	lied       bool         // the broker said of a producer without a twin that it has one
	old        map[int]disk // copies of disks, as they were once
	disks      map[int]disk // by replica, while none of its processes runs
	starts     int
	buried     int // dead members that the broker kept
	restarts   int // since the broker did not end a rebalance

	after map[int]disk // the disks that replicas are started on after all were down

	mu      sync.Mutex
	running []*process
	ghosts  []*process
	trap    *trap
	sprung  map[triple]int
	rows    *history // of the rows topic
	taken   *taken   // of the intake topic
	wrong   []string
	stacks  []byte // of all goroutines, where the run did not come to rest
}

// triple is what was injected, where, and to which partition.
type triple struct {
	fault, point string
	partition    int32
}

// trap waits for a process to reach a point with a partition.
type trap struct {
	triple
	target string // of a delivery's point; "": any
	skip   int    // so many times it is passed
	label  string // of the point, when it is counted; "": the point itself
	silent bool   // springing is not the fault itself
	spring func(p *process) error
	done   chan struct{}
}

func newWorld(t testing.TB, seed uint64, log *slog.Logger, badger string) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := &world{t: t, rng: rng, network: &kfake.VirtualNetwork{}, log: log, model: newModel(), disks: map[int]disk{}, old: map[int]disk{},
		sprung: map[triple]int{}, static: rng.IntN(2) == 0, maxPoll: 20 + rng.IntN(200), piece: 5 + rng.IntN(100), partitions: 2 + rng.Int32N(3),
		source: kafka.Source{Topic: pages}, homes: map[string]int32{}, badger: badger} // not Freshet's own: a reset leaves it as it is
	w.shape(seed)
	w.author = newAuthor(rng, w.partitions, w.several)
	for _, d := range w.author.docs {
		w.homes[d.home()] = d.partition
	}
	w.shop = newShop("shop", rng.IntN(2) == 0)
	w.targets = []target{newTable("table", w.model), w.shop}
	var err error
	w.broker, err = kfake.NewCluster(kfake.NumBrokers(2), kfake.Ports(9092, 9093), kfake.ListenFn(w.network.Listen),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "9000000000000"}))
	if err != nil {
		t.Fatal(err)
	}
	w.fences.guard(w.broker)
	w.flow = kafka.Cluster{Brokers: w.broker.ListenAddrs(), Dial: w.dial, Log: log}
	for topic, n := range w.sources() {
		if err := w.broker.CreateTopic(topic, n, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.ensure()
	w.client, err = kgo.NewClient(kgo.SeedBrokers(w.flow.Brokers...), kgo.Dialer(w.dial), kgo.DisableClientMetrics(),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) ensure() {
	var err error
	if w.topics, err = w.flow.EnsureTopics(context.Background(), flowName, w.source); err != nil {
		w.giveUp("ensure the topics: %v", err)
	}
	w.rows, w.taken = newHistory(w.model), newTaken()
}

// close ends all that runs, so that the bubble can end.
func (w *world) close() {
	for _, p := range w.live() {
		p.link.sever()
		p.stop()
	}
	for _, p := range w.ghosts {
		p.group.Wait()
		p.ev.Wait()
	}
	w.client.Close()
	w.broker.Close()
	w.wait(10 * time.Second) // what clients still write or dial comes to its end
}

func (w *world) now() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew).UnixNano()
}

func (w *world) live() []*process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.running)
}

func (w *world) fault(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong = append(w.wrong, fmt.Sprintf(format, args...))
}

// giveUp ends a run that can't go on.
func (w *world) giveUp(format string, args ...any) {
	w.fault(format, args...)
	panic(errGaveUp)
}

var errGaveUp = errors.New("the run can't go on")

// count notes that a fault came about.
func (w *world) count(t triple) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sprung[t]++
}

func (w *world) wait(d time.Duration) { <-time.After(d) }

// between returns a random duration.
func (w *world) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.rng.Int64N(int64(high-low)))
}

// publish writes changes to the source; the model knows them first, since what a reader sees must be known.
func (w *world) publish(changes []change) {
	records := make([]*kgo.Record, len(changes))
	for i, c := range changes {
		w.model.change(c)
		r := c.record()
		records[i] = &kgo.Record{Topic: c.lies.topic, Key: r.Key, Value: r.Value, Partition: c.lies.partition}
		for _, h := range r.Headers {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	if err := w.client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		w.giveUp("publish: %v", err)
	}
}

// set lays a trap; spring disarms.
func (w *world) set(t *trap) {
	t.done = make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trap = t
}

// disarm takes the trap away and reports whether it had sprung.
func (w *world) disarm(t *trap) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trap == t {
		w.trap = nil
		return false
	}
	return true
}

// reached springs the trap if it waits for this. It is called by processes, at their points.
func (w *world) reached(p *process, point string, partitions map[int32]bool) {
	_ = w.meet(p, "", point, partitions)
}

func (w *world) meet(p *process, target, point string, partitions map[int32]bool) error {
	w.mu.Lock()
	t := w.trap
	if t == nil || t.point != point || !partitions[t.partition] || t.target != "" && t.target != target || p.link.isCut() {
		w.mu.Unlock()
		return nil
	}
	if t.skip > 0 {
		t.skip--
		w.mu.Unlock()
		return nil
	}
	w.trap = nil
	w.mu.Unlock()
	w.log.Info("SPRUNG", "fault", t.fault, "point", t.point, "partition", t.partition, "replica", p.replica)
	met := t.triple
	if t.label != "" {
		met.point = t.label
	}
	if !t.silent {
		w.count(met)
	}
	defer close(t.done)
	return t.spring(p)
}

// settle waits until everything is processed and delivered and equal to the model, and says what is not if it never is.
func (w *world) settle() {
	deadline := time.Now().Add(patience)
	next, dead, waits := time.Now().Add(sessions), w.dead(), map[string]wait{}
	for {
		why := w.unsettled()
		if why == "" {
			return
		}
		if time.Now().After(next) {
			next, dead = time.Now().Add(sessions), w.bury(dead)
			if w.waitsOn(waits) {
				w.restarts++
				clear(waits)
				w.restart()
			}
		}
		if time.Now().After(deadline) {
			w.fault("after %s without faults: %s\n%s", patience, why, w.describe())
			w.stacks = make([]byte, 16<<20)
			w.stacks = w.stacks[:runtime.Stack(w.stacks, true)]
			return
		}
		w.wait(250 * time.Millisecond)
	}
}

func (w *world) unsettled() string {
	w.recover()
	commits := map[int32]int64{}
	if g := w.broker.GroupInfo(kafka.ProcessorGroup(flowName)); g != nil {
		for p, c := range g.Commits[w.source.Topic] {
			commits[p] = c.Offset
		}
	}
	ends, why := w.inputEnds()
	if why != "" {
		return why
	}
	for p, end := range ends {
		if commits[p] < end {
			return fmt.Sprintf("lost: the group has committed offset %d of source partition %d, which ends at %d", commits[p], p, end)
		}
	}
	for _, i := range w.broker.PartitionInfos(flowName + ".rows") {
		if i.LastStableOffset < i.HighWatermark {
			return fmt.Sprintf("a transaction is open on rows partition %d at %d", i.Partition, i.LastStableOffset)
		}
		for _, t := range w.targets {
			if next := t.next()[i.Partition]; next != i.HighWatermark {
				return fmt.Sprintf("target %s is at offset %d of rows partition %d, which ends at %d", t.title(), next, i.Partition, i.HighWatermark)
			}
		}
	}
	for _, t := range w.targets {
		if faults := w.compare(t.all()); len(faults) > 0 {
			return "target " + t.title() + ": " + strings.Join(faults, "\n")
		}
	}
	return ""
}

// compare checks rows by document against the model.
func (w *world) compare(all map[string]map[string]string) (faults []string) {
	names := w.model.names()
	for _, doc := range names {
		if err := w.model.final(doc, textOf(all[doc])); err != nil {
			faults = append(faults, err.Error())
		}
	}
	for doc := range all {
		if _, known := slices.BinarySearch(names, doc); !known {
			faults = append(faults, fmt.Sprintf("rows of a document that never was: %s", doc))
		}
	}
	return faults
}

// restart stops all replicas and starts them again at the same moment.
func (w *world) restart() {
	all := w.live()
	for _, p := range all {
		w.disks[p.replica] = p.stop()
	}
	for _, p := range all {
		w.start(p.replica, w.disks[p.replica])
	}
}
