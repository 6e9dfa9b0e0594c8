package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/control"
)

// replica is one of a flow's processes. It is started again under its name after each end.
type replica struct {
	rig     *rig
	name    string // of replica and roles, for people
	ordinal int
	roles   string
	points  string // the directory in which points are armed
	p       *process
	client  *control.Client
	crash   string // what it was started with
	excused bool   // brokers went down since it was started: it may have given up
}

// replica adds one to the rig; start runs it.
func (r *rig) replica(t *testing.T, ordinal int, roles ...string) *replica {
	t.Helper()
	x := &replica{rig: r, ordinal: ordinal, roles: strings.Join(roles, ","), name: fmt.Sprintf("replica %d (%s)", ordinal, strings.Join(roles, ",")),
		points: filepath.Join(r.dir, fmt.Sprintf("points-%d", ordinal))}
	if err := os.Mkdir(x.points, 0o755); err != nil {
		t.Fatal(err)
	}
	r.replicas = append(r.replicas, x)
	return x
}

// start runs the replica; crash is a point at which it dies, or "".
func (x *replica) start(t *testing.T, crash string) {
	t.Helper()
	x.disarm()
	x.client, x.crash, x.excused = nil, crash, false
	x.p = x.run(t, crash)
}

// again starts a replica that gave up while brokers were down, as whoever runs it would; false: it had no such excuse.
func (x *replica) again(t *testing.T) bool {
	t.Helper()
	if !x.excused || x.p.code() != 1 {
		return false
	}
	x.rig.excused++
	x.start(t, x.crash)
	x.excused = true // the brokers may not be all back
	return true
}

func (x *replica) run(t *testing.T, crash string) *process {
	return launch(t, x.rig.whole, x.rig.bin, x.rig.env(x.ordinal, "FRESHET_CRASH="+crash, "FRESHET_POINTS="+x.points),
		"run", "-f", x.rig.file, "--replica", strconv.Itoa(x.ordinal), "--role", x.roles)
}

// arm lets the process do something when it comes to the point: kill or stop.
func (x *replica) arm(t *testing.T, point, action string) {
	t.Helper()
	path := filepath.Join(x.points, point)
	if err := os.WriteFile(path+".new", []byte(action), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// disarm takes back what was not reached.
func (x *replica) disarm() {
	armed, _ := filepath.Glob(filepath.Join(x.points, "*"))
	for _, path := range armed {
		_ = os.Remove(path) // or it was reached just now
	}
}

// dies waits until the process was killed at a point.
func (x *replica) dies(t *testing.T, point string) {
	t.Helper()
	x.rig.until(t, x.name+" dies at "+point, func(context.Context) bool {
		if !x.p.ended() || x.p.killed() {
			return x.p.ended()
		}
		if !x.again(t) {
			t.Fatalf("%s ended by itself before %s: %v\n%s", x.name, point, x.p.err, x.p.out.String())
		}
		if x.crash == "" {
			x.arm(t, point, "kill")
		}
		return false
	}, x)
}

// stops waits until the process stands still at a point.
func (x *replica) stops(t *testing.T, point string) {
	t.Helper()
	x.rig.until(t, x.name+" stops at "+point, func(context.Context) bool { return x.p.stopped() })
}

// leave lets the process end cleanly.
func (x *replica) leave(t *testing.T) {
	t.Helper()
	x.p.signal(syscall.SIGTERM)
	x.rig.until(t, x.name+" ends after SIGTERM", func(context.Context) bool { return x.p.ended() }, x)
	if x.p.err != nil && !x.excused {
		t.Fatalf("%s did not end cleanly: %v\n%s", x.name, x.p.err, x.p.out.String())
	}
}

// status asks the process what it does; false while it does not answer.
func (x *replica) status(ctx context.Context) (control.Status, bool) {
	if x.p == nil || x.p.ended() {
		return control.Status{}, false
	}
	if x.client == nil {
		address, ok := x.p.address()
		if !ok {
			return control.Status{}, false
		}
		x.client = control.NewClient(address)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	s, err := x.client.Status(ctx)
	return s, err == nil
}

// account is the process's status as text, or why there is none.
func (x *replica) account() string {
	if x.p.ended() {
		return fmt.Sprintf("ended: %v\n", x.p.err)
	}
	address, ok := x.p.address()
	if !ok {
		return "listens nowhere\n"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := control.NewClient(address).Status(ctx)
	if err != nil {
		return fmt.Sprintf("no status: %v\n", err)
	}
	text, _ := json.Marshal(s) // it came as JSON
	return string(text) + "\n"
}

// settled counts the changes that the process has brought to their end since it started.
func settled(s control.Status) int64 {
	return s.Counts.Applied + s.Counts.Noop + s.Counts.Superseded + s.Counts.Quarantined
}

// told finds what a process says of one of its targets.
func told(s control.Status, name string) control.Target {
	for _, t := range s.Targets {
		if t.Target == name {
			return t
		}
	}
	return control.Target{}
}
