package torture

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// shortSoak is below what memory can be judged by: until caches are full, it grows.
const shortSoak = 10 * time.Minute

// recovery is how long after the last fault lag and pending may take to go back to zero.
const recovery = time.Minute

// TestSoak runs three replicas at about 70 % of what they can do, with a fault every few seconds, and looks at what a
// process must not gather: memory, goroutines, descriptors; and at how soon after the last fault nothing is behind.
func TestSoak(t *testing.T) {
	long := span("FRESHET_SOAK", 2*time.Minute)
	r := newRig(t, 5*time.Second, swift, testenv.Kafka(t, testenv.KafkaOptions{}))
	random, seed := chance(t)
	r.three(t)
	l := newLoad(t, r, seed, 500, 4, 1)
	most := r.capacity(t, l)
	l.rate.Store(int64(most * 7 / 10))
	b := r.begin(t, l)
	m := &torment{rig: r, t: t, random: random, counts: map[string]int{}}
	w := &watch{r: r, t: t, x: r.replicas[0], begun: time.Now(), long: long}
	first := w.read()
	var caught time.Duration
	var lastFault time.Time
	for time.Since(w.begun) < long {
		m.soakFault()
		lastFault = time.Now()
		caught = m.keepUp(l, w.sample)
		m.pass(5*time.Second, w.sample)
	}
	b.quiet()
	r.settle(t)
	clean := time.Since(lastFault) // the five seconds at 70 % included
	b.close()
	r.check(t, b)
	t.Logf("%s at %d changes a second (70 %% of %d), %d changes; faults %v; within a second of the source %s after the last fault, everything done %s after it",
		long, l.rate.Load(), most, l.sent.Load(), m.counts, caught.Round(time.Second), clean.Round(time.Second))
	w.judge(first, caught)
}

// keepUp waits until the flow is within a second of its source again, and says how long that took. A machine that has less
// to give than when its capacity was measured is given less to do.
func (m *torment) keepUp(l *load, each func()) time.Duration {
	m.t.Helper()
	begun, last, eased := time.Now(), time.Now(), time.Now()
	m.until(m.t, "the flow keeps up again", func(ctx context.Context) bool {
		if time.Since(last) > time.Second {
			last = time.Now()
			each()
		}
		if time.Since(eased) > recovery/2 {
			eased = time.Now()
			l.rate.Store(max(50, l.rate.Load()*2/3))
			m.t.Logf("the flow does not keep up after %s: from now on %d changes a second", time.Since(begun).Round(time.Second), l.rate.Load())
		}
		return m.lag(ctx) <= l.rate.Load()
	})
	return time.Since(begun)
}

// capacity is how many changes a second the replicas process: measured by a burst.
func (r *rig) capacity(t *testing.T, l *load) int {
	t.Helper()
	const burst, warm = 8000, 500
	if err := l.step(t.Context(), warm); err != nil {
		t.Fatal(err)
	}
	r.settle(t)
	for range burst / 1000 {
		if err := l.step(t.Context(), 1000); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	r.settle(t)
	return int(burst / time.Since(begun).Seconds())
}

// lag is how many source records are still to be processed; what nobody knows is much.
func (r *rig) lag(ctx context.Context) int64 {
	const unknown = 1 << 40
	ends, err := r.adm.ListEndOffsets(ctx, r.topic)
	if err != nil || ends.Error() != nil {
		return unknown
	}
	var end int64
	for _, o := range ends[r.topic] {
		end += o.Offset
	}
	return end - r.committed(ctx)
}

// soakFault does one of the things that happen. The first replica, which is watched, is never killed, only stopped.
func (m *torment) soakFault() {
	m.t.Helper()
	x := m.replicas[1+m.random.IntN(len(m.replicas)-1)]
	switch m.random.IntN(6) {
	case 0:
		m.killed(x, "killed")
	case 1:
		x.leave(m.t)
		x.start(m.t, "")
		m.counts["restarted"]++
	case 2:
		x.arm(m.t, points[m.random.IntN(len(points))], "kill")
		m.until(m.t, x.name+" dies at a point", func(context.Context) bool { return x.p.ended() }, x)
		m.killed(x, "killed at a point")
	case 3:
		m.standStill(m.any())
	case 4:
		m.server()
	default:
		m.broker()
	}
}

// standStill stops a replica for longer than its session, and lets it go on.
func (m *torment) standStill(x *replica) {
	m.t.Helper()
	x.p.signal(syscall.SIGSTOP)
	begun := time.Now()
	m.until(m.t, "it stands still", func(context.Context) bool { return time.Since(begun) > m.session+time.Second })
	x.p.signal(syscall.SIGCONT)
	m.counts["stopped"]++
}

// pass lets a time pass, and does something each second.
func (m *torment) pass(d time.Duration, each func()) {
	m.t.Helper()
	begun, last := time.Now(), time.Now()
	m.until(m.t, "time passes", func(context.Context) bool {
		if time.Since(last) > time.Second {
			last = time.Now()
			each()
		}
		return time.Since(begun) > d
	})
}

// watch follows one process that is never started again.
type watch struct {
	r     *rig
	t     *testing.T
	x     *replica
	begun time.Time
	long  time.Duration
	early []int // RSS in KiB in the second quarter of the time, after which caches are full
	late  []int // and in the last
}

// usage is what a process holds.
type usage struct{ descriptors, goroutines int }

func (w *watch) sample() {
	rss := w.rss()
	switch at := time.Since(w.begun); {
	case at > w.long*3/4:
		w.late = append(w.late, rss)
	case at > w.long/4 && at <= w.long/2:
		w.early = append(w.early, rss)
	}
}

func (w *watch) rss() int {
	w.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.x.p.cmd.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		w.t.Fatal(err)
	}
	return kib
}

// read counts descriptors and goroutines, while nothing is left to do.
func (w *watch) read() (u usage) {
	w.t.Helper()
	w.r.until(w.t, w.x.name+" serves its metrics", func(ctx context.Context) bool {
		text, ok := w.x.metrics(ctx)
		u.goroutines = int(metric(text, "go_goroutines"))
		u.descriptors = int(metric(text, "process_open_fds"))
		return ok && u.goroutines > 0 && u.descriptors > 0
	})
	return u
}

func (x *replica) metrics(ctx context.Context) (string, bool) {
	address, ok := x.p.address()
	if !ok {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return "", false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err == nil
}

// metric finds a metric without labels; 0: it is not there.
func metric(text, name string) float64 {
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			x, _ := strconv.ParseFloat(value, 64)
			return x
		}
	}
	return 0
}

// judge compares the process with what it was before the faults. In a short run memory is only kept from running away.
func (w *watch) judge(first usage, caught time.Duration) {
	w.t.Helper()
	last := w.read()
	early, late := mean(w.early), mean(w.late)
	w.t.Logf("memory %.0f MiB, later %.0f MiB (%+.1f %%); goroutines %d, later %d; descriptors %d, later %d",
		early/1024, late/1024, 100*(late/early-1), first.goroutines, last.goroutines, first.descriptors, last.descriptors)
	most := 1.1
	if w.long < shortSoak {
		most = 2
	}
	if len(w.early) == 0 || len(w.late) == 0 { // one fault took a quarter of a short run
		if w.long >= shortSoak {
			w.t.Error("no samples of memory")
		}
	} else if late > early*most {
		w.t.Errorf("memory grew from %.0f to %.0f MiB", early/1024, late/1024)
	}
	// A leak is one or more for each fault or transaction; a few come and go with connections.
	if last.goroutines > 2*first.goroutines+50 {
		w.t.Errorf("goroutines grew from %d to %d", first.goroutines, last.goroutines)
	}
	if last.descriptors > 2*first.descriptors+50 {
		w.t.Errorf("descriptors grew from %d to %d", first.descriptors, last.descriptors)
	}
	if w.long >= shortSoak && caught > recovery {
		w.t.Errorf("it took %s after the last fault until the flow kept up again, want %s at the most", caught.Round(time.Second), recovery)
	}
}

func mean(xs []int) float64 {
	sum := 0
	for _, x := range xs {
		sum += x
	}
	return float64(sum) / float64(max(1, len(xs)))
}
