package brokertest

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/testenv"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// link is a process's way to the brokers; when it is cut the process is gone, as far as they know.
type link struct {
	mu    sync.Mutex
	conns []net.Conn
	isCut bool
}

func (l *link) dial(ctx context.Context, network, host string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, host)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && l.isCut {
		return nil, errors.Join(errors.New("the link is cut"), conn.Close())
	}
	l.conns = append(l.conns, conn)
	return conn, err
}

func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for _, c := range l.conns {
		if c != nil {
			_ = c.Close() // the client may have closed it
		}
	}
}

// TestTakeover: of three replicas under load one is gone without a word. From the moment when the group knows, those that follow
// its partitions go on with them. The figure printed is what it is about; a loaded machine makes it worse.
func TestTakeover(t *testing.T) {
	s := newScene(t, testenv.SharedKafka(t))
	lost := &link{}
	var all []*process
	for i := range 3 {
		cut := func(*kafka.ProcessorConfig) {}
		if i == 2 {
			cut = func(c *kafka.ProcessorConfig) { c.Cluster.Dial = lost.dial }
		}
		all = append(all, s.replica(i, newDisk(), cut))
	}
	load := &pressure{scene: s}
	load.until("the partitions are shared and followed", func() bool { return shared(all) })
	load.until("some changes are done", func() bool { return load.rounds > 30 })
	moved := all[2].proc.Held()
	before := read(all[:2]...)
	lost.cut()
	cut := time.Now()
	noticed := make(chan time.Time, 1)
	go func() { noticed <- s.untilMoving(2) }()
	var known time.Time
	load.until("the group knows", func() bool {
		select {
		case known = <-noticed:
		default:
		}
		return !known.IsZero()
	})
	load.until("the others take over", func() bool { return len(all[0].proc.Held())+len(all[1].proc.Held()) == partitions })
	load.until("each commits", func() bool { return len(s.firstCommits(moved, known)) == len(moved) })
	taken := time.Duration(0)
	for _, at := range s.firstCommits(moved, known) {
		taken = max(taken, at.Sub(known))
	}
	t.Logf("the group knew %s after the cut; %d partitions moved, and the last of them had its first commit %s later; %d of %d changelog records were read",
		known.Sub(cut).Round(time.Millisecond), len(moved), taken.Round(time.Millisecond), read(all[:2]...)-before, s.entries())
	if taken > takeoverLimit {
		t.Errorf("the first commit came %s after the group knew, the limit is %s", taken, takeoverLimit)
	}
	s.settleAll(all[:2])
	s.expect()
}

// shared reports whether each replica has partitions, and each partition is owned and followed.
func shared(all []*process) bool {
	held, followed := 0, 0
	for _, p := range all {
		n := len(p.proc.Held())
		if n == 0 {
			return false
		}
		held += n
		followed += len(p.proc.Standbys())
	}
	return held == partitions && followed == partitions
}

// untilMoving asks the coordinator of the processors' group until it is no longer stable, or has n members, or the test ends, and
// returns when it was last asked before: the group did not know then.
func (s *scene) untilMoving(n int) (last time.Time) {
	group := kafka.ProcessorGroup(s.flow)
	for {
		asked := time.Now()
		groups, err := s.adm.DescribeGroups(s.Context(), group)
		if s.Context().Err() != nil || err == nil && (groups[group].State != "Stable" || len(groups[group].Members) == n) {
			return last
		}
		last = asked
	}
}

// firstCommits is when each of the partitions had a transaction first after a moment.
func (s *scene) firstCommits(of []int32, after time.Time) map[int32]time.Time {
	s.Helper()
	first := map[int32]time.Time{}
	for _, r := range s.records(s.flow + ".changelog") {
		_, known := first[r.Partition]
		if !known && slices.Contains(of, r.Partition) && string(r.Key) == schemas.ProgressKey && r.Timestamp.After(after) {
			first[r.Partition] = r.Timestamp
		}
	}
	return first
}
