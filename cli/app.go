package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
	"github.com/freshet-dev/freshet/stream/kafka"
	"github.com/freshet-dev/freshet/stream/kafka/embedded"
)

// options are what a process of a flow is started with.
type options struct {
	program         // what the flow file may name, and a flow without a file
	flowFile string // "": the program's own flow
	overlay  string
	dataDir  string // "": .freshet/<flow> beside the flow file
	embedded bool   // run the broker in this process
	replica  int
	roles    []string           // watch, intake, process, sinks, sink:NAME, all
	targets  []string           // nil: all
	rebuild  map[string][]int32 // targets to be rebuilt, and which partitions; none named: all
	listen   string             // address of the control HTTP; "": loopback, a free port
	log      *slog.Logger
}

// app is one process of a flow: some of its watchers, intake, processor and deliveries.
type app struct {
	options
	flow      *flow.Flow
	rolled    *flow.Flow // the flow, once it computes its editions
	broker    *embedded.Broker
	cluster   kafka.Cluster
	revision  *schemas.Declaration // the revision that it runs; nil before one is recorded
	before    bool                 // the flow had run before this process
	pace      schemas.Backfill
	topics    kafka.Topics
	totals    engine.Totals
	evaluator *engine.Evaluator
	processor *kafka.Processor
	watchers  []*watcher
	intake    *kafka.Intake
	closers   []func()
	address   string // of the control HTTP
	controlled
	degraded degradation

	mu         sync.Mutex
	deliveries map[string]*kafka.Delivery // by target, once its sink is open
	sinks      map[string]stream.Sink
}

func newApp(o options) (*app, error) {
	o.registry.Log = o.log
	f, err := o.load()
	if err != nil {
		return nil, err
	}
	if o.dataDir == "" {
		o.dataDir = filepath.Join(filepath.Dir(o.flowFile), ".freshet", f.Name)
	}
	a := &app{options: o, flow: f, deliveries: map[string]*kafka.Delivery{}, sinks: map[string]stream.Sink{}}
	return a, a.knowsTargets()
}

// knowsTargets refuses targets that were asked for and that the flow does not have.
func (a *app) knowsTargets() error {
	for _, t := range a.targets {
		if !slices.ContainsFunc(a.flow.Targets, func(x flow.Target) bool { return x.Name == t }) {
			return usagef("flow %s has no target %q; it has: %s", a.flow.Name, t, targetNames(a.flow))
		}
	}
	return nil
}

// load checks the flow.
func (o *options) load() (*flow.Flow, error) {
	if o.flowFile == "" {
		return o.built.Load(".", o.overlay, o.registry)
	}
	return flow.Load(o.flowFile, o.overlay, o.registry)
}

// declared is where the flow is declared, for messages.
func (o *options) declared() string { return cmp.Or(o.flowFile, "the flow of this program") }

func targetNames(f *flow.Flow) string {
	names := make([]string, len(f.Targets))
	for i, t := range f.Targets {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}

func (a *app) does(role string) bool {
	return slices.Contains(a.roles, role) || slices.Contains(a.roles, "all")
}

// delivers reports whether this process keeps the target in step.
func (a *app) delivers(target string) bool {
	if a.targets != nil && !slices.Contains(a.targets, target) {
		return false
	}
	return a.does("sinks") || slices.Contains(a.roles, "sink:"+target)
}

// connect reaches the brokers, starting the embedded one where it is asked for.
func (a *app) connect(ctx context.Context) error {
	a.cluster = kafka.Cluster{Brokers: a.flow.Kafka.Brokers, Access: a.flow.Kafka.Access, Log: a.log, Embedded: a.embedded, Patience: patience()}
	a.observe()
	if a.embedded {
		a.cluster.Access = stream.Settings{} // our own broker is reached as it is
		if err := a.startBroker(ctx); err != nil {
			return err
		}
	}
	if len(a.cluster.Brokers) == 0 {
		return usagef("%s: kafka.brokers is missing; `freshet run` needs a Kafka cluster (`freshet dev` brings its own)", a.declared())
	}
	return a.cluster.Check(ctx)
}

func (a *app) startBroker(ctx context.Context) error {
	release, err := lockDir(a.dataDir)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, release)
	// Where their offsets are gone, the flow's own topics say how far these groups were.
	groups := []string{kafka.ProcessorGroup(a.flow.Name), kafka.IntakeGroup(a.flow.Name)}
	b, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(a.dataDir, "broker"), Groups: groups})
	if err != nil {
		return err
	}
	a.broker = b
	a.closers = append(a.closers, b.Close)
	a.cluster.Brokers = b.Addresses()
	return nil
}

// prepareWithin is how long a start waits for brokers that answer, but have not all leaders and coordinators yet.
const prepareWithin = 30 * time.Second

// prepare finds the revision that is to be run, and makes the flow's topics.
func (a *app) prepare(ctx context.Context) error {
	for begun := time.Now(); ; {
		err := a.prepareOnce(ctx)
		if err == nil || stream.KindOf(err) != stream.Transient || time.Since(begun) > prepareWithin {
			return err
		}
		a.log.Warn("the cluster is not ready; it is tried again", "error", err)
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func (a *app) prepareOnce(ctx context.Context) (err error) {
	if err := a.adopt(ctx); err != nil {
		return err
	}
	a.before = a.revision != nil
	if a.topics, err = a.cluster.EnsureTopics(ctx, a.flow.Name, a.kafkaSource()); err != nil {
		return err
	}
	err = a.declare(ctx)
	if outdated := (*kafka.Outdated)(nil); errors.As(err, &outdated) { // a process that started beside this one recorded the flow first
		return a.prepareOnce(ctx)
	}
	if err != nil {
		return err
	}
	return a.roll(ctx)
}

// transactionalID is stable for a replica on a real cluster, so that its next start settles what it left open. The
// embedded broker can't show later commits of an ID that left a transaction open, so there each start has its own.
func (a *app) transactionalID(stage string) string {
	id := a.flow.Name + "." + stage + "." + strconv.Itoa(a.replica)
	if !a.embedded {
		return id
	}
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return id + "." + hex.EncodeToString(b)
}

// instance names this process in its groups. On the embedded broker there is only one.
func (a *app) instance() string {
	if a.embedded {
		return ""
	}
	return "replica-" + strconv.Itoa(a.replica)
}

// start builds the parts that the roles ask for; run drives them.
func (a *app) start(ctx context.Context) error {
	a.degraded.why = map[string]string{}
	if a.does("process") {
		if err := a.stores().check(); err != nil {
			return asUsage(err)
		}
		a.startProcessor(ctx)
	}
	if a.does("intake") && a.flow.Intake() {
		a.startIntake()
	}
	if a.does("watch") {
		return a.startWatchers()
	}
	return nil
}

func (a *app) startProcessor(ctx context.Context) {
	dec, salt := a.decoder()
	a.closers = append(a.closers, a.closeOperators)
	a.evaluator = engine.NewEvaluator(ctx, a.flow.Program, &a.totals, engine.Events{Retrying: a.degraded.retrying, Recovered: a.degraded.recovered})
	a.degraded.log = a.log
	a.processor = kafka.NewProcessor(kafka.ProcessorConfig{
		Cluster: a.cluster, Topics: a.topics, TransactionalID: a.transactionalID("processor"), ControlAddress: a.address, Instance: a.instance(), Revision: a.revision.Revision,
		Engine: engine.Config{Program: a.flow.Program, Decoder: dec, Salt: salt, MemoRetention: a.flow.State.MemoRetention, Attempts: a.flow.Attempts,
			Now: func() int64 { return time.Now().UnixNano() }},
		Evaluator: a.evaluator, Totals: &a.totals, Standbys: a.flow.Standbys, At: crashPoint, Trouble: a.degraded.of("processor"),
		Stores: a.stores(),
	})
	a.processor.SetPace(a.pace)
}

// closeOperators ends what operators keep, such as processes.
func (a *app) closeOperators() {
	if err := a.flow.Program.Close(); err != nil {
		a.log.Warn("operators are not closed", "error", err)
	}
}

func (a *app) stores() stores { return stores{flow: a.flow.Name, dir: a.stateDir(), log: a.log} }

func (a *app) stateDir() string {
	if a.embedded {
		return filepath.Join(a.dataDir, "state")
	}
	return filepath.Join(a.dataDir, "replica-"+strconv.Itoa(a.replica))
}

// run drives all parts until ctx ends or one of them needs a person.
func (a *app) run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	var group sync.WaitGroup
	part := func(fn func(context.Context) error) {
		group.Go(func() {
			if err := fn(ctx); err != nil {
				cancel(err)
			}
		})
	}
	if a.processor != nil {
		part(a.processor.Run)
	}
	part(func(ctx context.Context) error { return a.cluster.Watch(ctx, a.topics, a.degraded.of("topics")) })
	if !a.embedded {
		part(a.follow)
	}
	if a.processor != nil {
		part(a.retireOutlived)
	}
	if a.intake != nil {
		part(a.intake.Run)
	}
	for _, w := range a.watchers {
		part(w.Run)
	}
	for _, t := range a.flow.Targets {
		if a.delivers(t.Name) {
			part(func(ctx context.Context) error { return a.deliver(ctx, t) })
		}
	}
	<-ctx.Done()
	group.Wait()
	if a.evaluator != nil {
		a.evaluator.Wait()
	}
	if cause := context.Cause(ctx); cause != context.Cause(parent) {
		return cause
	}
	return nil // it was told to end, e.g. by a signal
}

// follow ends the process's work when another revision is in force than the one that it runs.
func (a *app) follow(ctx context.Context) error {
	return a.cluster.Follow(ctx, a.flow.Name, *a.revision, func(b schemas.Backfill) {
		if a.processor != nil {
			a.processor.SetPace(b)
		}
	})
}

// close ends what start began, last first.
func (a *app) close() {
	for _, fn := range slices.Backward(a.closers) {
		fn()
	}
}

// degradation says what does not work now, for status.
type degradation struct {
	mu  sync.Mutex
	why map[string]string
	log *slog.Logger
}

// note says that something does not work, or with nil that it does again. first and again tell what changed.
func (d *degradation) note(what string, err error) (first, again bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known := d.why[what]
	if err == nil {
		delete(d.why, what)
		return false, known
	}
	d.why[what] = err.Error()
	return !known, false
}

// of returns a func that notes for one thing.
func (d *degradation) of(what string) func(error) { return func(err error) { d.note(what, err) } }

func (d *degradation) retrying(node string, err error, wait time.Duration) {
	if first, _ := d.note("node "+node, err); first {
		d.log.Warn("a node can't be run; its documents stay pending and it is tried again", "node", node, "error", err, "wait", wait)
	}
}

func (d *degradation) recovered(node string) {
	if _, again := d.note("node "+node, nil); again {
		d.log.Info("a node runs again", "node", node)
	}
}

func (d *degradation) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for what, why := range d.why {
		out = append(out, what+": "+why)
	}
	slices.Sort(out)
	return out
}
