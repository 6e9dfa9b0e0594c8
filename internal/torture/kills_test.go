package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// points at which a process is killed at least once, by FAULTS: after k row records were sent (F3), rows sent but no state
// (F4), before progress (F5), flushed (F6), around the requests that commit (F7 to F10), committed but not in the local
// state (F11), before and after a target's transaction (S1, S3).
var points = []string{"F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "S1", "S3"}

// torment is a run of faults on three replicas under load.
type torment struct {
	*rig
	t      *testing.T
	random *rand.Rand
	counts map[string]int
	kills  int
}

// three gives the rig its replicas: all of them process and deliver, and the first owns what one process writes.
func (r *rig) three(t *testing.T) {
	t.Helper()
	for n := range 3 {
		r.replica(t, n, r.roles(n == 0)...)
	}
	for _, x := range r.replicas {
		x.start(t, "")
	}
}

func (m *torment) any() *replica { return m.replicas[m.random.IntN(len(m.replicas))] }

// wait lets a random time pass.
func (m *torment) wait(most time.Duration) {
	m.t.Helper()
	end := time.Now().Add(time.Duration(m.random.Int64N(int64(most))))
	m.until(m.t, "a moment passes", func(context.Context) bool { return time.Now().After(end) })
}

// killed counts a kill, and starts the replica again.
func (m *torment) killed(x *replica, how string) {
	m.t.Helper()
	x.p.kill()
	m.kills++
	m.counts[how]++
	x.start(m.t, "")
	if m.kills%10 == 0 {
		progress("%s: %d kills, %d changes", m.t.Name(), m.kills, m.committed(m.t.Context()))
	}
}

// atPoint kills a replica at a named point.
func (m *torment) atPoint(point string) {
	m.t.Helper()
	x := m.any()
	x.arm(m.t, point, "kill")
	x.dies(m.t, point)
	m.killed(x, point)
}

// inside kills a replica while the broker says that its transaction is open.
func (m *torment) inside() {
	m.t.Helper()
	x := m.any()
	m.until(m.t, "an open transaction of "+x.name, func(ctx context.Context) bool { return m.ongoing(ctx, x) })
	m.killed(x, "in a transaction")
}

// restoring takes a replica's local state away and kills it after k records of the restore.
func (m *torment) restoring() {
	m.t.Helper()
	x := m.any()
	x.p.kill()
	if err := os.RemoveAll(filepath.Join(m.dir, ".freshet", m.name, fmt.Sprintf("replica-%d", x.ordinal))); err != nil {
		m.t.Fatal(err)
	}
	x.start(m.t, fmt.Sprintf("F14:%d", 1+m.random.IntN(30)))
	x.dies(m.t, "F14")
	m.kills++
	m.counts["without state"]++
	m.killed(x, "F14")
}

// anyMoment kills a replica at a random time.
func (m *torment) anyMoment() {
	m.t.Helper()
	m.wait(time.Second)
	m.killed(m.any(), "at random")
}

// broker kills a broker.
func (m *torment) broker() {
	m.t.Helper()
	m.wait(time.Second)
	m.restartBroker(m.t, m.brokers[m.random.IntN(len(m.brokers))])
	m.counts["broker"]++
}

// server kills the server of one of the targets.
func (m *torment) server() {
	m.t.Helper()
	var names []string
	all := map[string]server{}
	for _, v := range m.targets {
		if s, ok := v.(server); ok {
			names, all[v.name()] = append(names, v.name()), s
		}
	}
	name := names[m.random.IntN(len(names))]
	all[name].restart(m.t)
	m.counts["server of "+name]++
}

// TestKills kills three replicas again and again while documents change: inside open transactions, at every named point,
// in the middle of a restore and at random; the broker too. Readers watch. In the end the targets must hold what the source
// says, what the rows topic says, and what an uninterrupted run gives.
func TestKills(t *testing.T) {
	r := newRig(t, 5*time.Second, every, testenv.Kafka(t, testenv.KafkaOptions{}))
	kills := number("FRESHET_KILLS", 60) * 3 / 4
	m := r.torment(t, 200, func(m *torment) { m.scatter(kills, 12) })
	for _, point := range append(points, "F14") {
		if kills >= 45 && m.counts[point] == 0 {
			t.Errorf("nobody was killed at %s", point)
		}
	}
	if kills >= 45 && m.counts["in a transaction"] < 20 {
		t.Errorf("%d were killed in a transaction, want 20", m.counts["in a transaction"])
	}
	r.compare(t)
}

// TestKillsOfBrokers does the same where three brokers keep the topics, and kills brokers more often: leaders and
// coordinators move (F19, F20).
func TestKillsOfBrokers(t *testing.T) {
	r := newRig(t, 5*time.Second, every, testenv.KafkaCluster(t, testenv.KafkaOptions{})...)
	kills := number("FRESHET_KILLS", 60)
	r.torment(t, 200, func(m *torment) { m.scatter(kills-kills*3/4, 4) })
}

// torment lets fn bring faults over three replicas and their targets while rate changes a second are made; then it compares.
func (r *rig) torment(t *testing.T, rate int, fn func(*torment)) *torment {
	t.Helper()
	random, seed := chance(t)
	r.three(t)
	m := &torment{rig: r, t: t, random: random, counts: map[string]int{}}
	l := newLoad(t, r, seed, 60, 6, rate)
	b := r.begin(t, l)
	r.until(t, "documents are there", func(ctx context.Context) bool { return r.committed(ctx) > 500 })
	fn(m)
	r.moves(t)
	b.quiet()
	r.settle(t)
	b.close()
	r.check(t, b)
	t.Logf("%d kills %v; %d replicas gave up while brokers were down; %d changes", m.kills, m.counts, r.excused, l.sent.Load())
	return m
}

// scatter kills replicas, and after every so many of them a broker.
func (m *torment) scatter(kills, brokerEvery int) {
	m.t.Helper()
	named := append([]string(nil), points...)
	m.random.Shuffle(len(named), func(i, j int) { named[i], named[j] = named[j], named[i] })
	for turn := 0; m.kills < kills; turn++ {
		switch {
		case turn%brokerEvery == brokerEvery-1:
			m.broker()
		case turn%2 == 0:
			m.inside()
		case turn%10 == 5:
			m.server()
		case turn%16 == 3:
			m.restoring()
		case turn%4 == 1 || len(named) > (kills-m.kills)/2:
			m.atPoint(named[0])
			named = append(named[1:], named[0])
		default:
			m.anyMoment()
		}
	}
}

// compare runs the same changes through a flow that nobody interrupts.
func (r *rig) compare(t *testing.T) {
	t.Helper()
	calm := *r
	calm.name = r.name + "_calm"
	calm.replicas = nil
	calm.dir = t.TempDir()
	calm.declare(t, []maker{newPostgres})
	calm.finish(t)
	want, err := calm.targets[0].rows(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) == 0 {
		t.Fatal("the uninterrupted run gave no rows: the comparison says nothing")
	}
	for _, v := range r.targets {
		got, err := v.rows(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		differ(t, v.name()+" and an uninterrupted run", unversioned(got), unversioned(want))
	}
}

// unversioned are lines without the versions, which differ from run to run.
func unversioned(rows []row) []string {
	for i := range rows {
		rows[i].version = 0
	}
	return exact(rows)
}

// finish lets a flow that nothing runs catch up.
func (r *rig) finish(t *testing.T) {
	t.Helper()
	p := launch(t, r.whole, r.bin, r.env(0), "run", "-f", r.file, "--once", "--json")
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("it does not catch up\n%s", p.out.String())
	}
	if p.err != nil {
		t.Fatalf("catching up: %v\n%s", p.err, p.out.String())
	}
}
