//go:build synctests

package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream/kafka"
)

const (
	sessions   = 15 * time.Second // after which a member that was silent has lost its place for certain
	rebalances = 75 * time.Second // after which a rebalance has ended for certain
)

// clients are those of a process that are open.
type clients struct {
	mu   sync.Mutex
	open []*kgo.Client
}

func (c *clients) OnNewClient(cl *kgo.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, cl)
}

func (c *clients) OnClientClosed(cl *kgo.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = slices.DeleteFunc(c.open, func(o *kgo.Client) bool { return o == cl })
}

// members are the names under which the clients are in their groups.
func (c *clients) members() map[string]bool {
	c.mu.Lock()
	open := slices.Clone(c.open)
	c.mu.Unlock()
	out := map[string]bool{}
	for _, cl := range open {
		if id, _ := cl.GroupMetadata(); id != "" {
			out[id] = true
		}
	}
	return out
}

func (w *world) groups() []string {
	out := []string{kafka.ProcessorGroup(flowName)}
	if w.several {
		out = append(out, kafka.IntakeGroup(flowName))
	}
	for _, t := range w.targets {
		out = append(out, kafka.TargetGroup(flowName, t.title()))
	}
	return out
}

// dead are the members, by group, that belong to no process that runs.
func (w *world) dead() map[string][]string {
	running, replicas := map[string]bool{}, map[string]bool{}
	for _, p := range w.live() {
		for id := range p.clients.members() {
			running[id] = true
		}
		replicas[p.instance()] = true
	}
	out := map[string][]string{}
	for _, group := range w.groups() {
		g := w.broker.GroupInfo(group)
		if g == nil {
			continue
		}
		for _, m := range g.Members {
			if m.InstanceID != nil && replicas[*m.InstanceID] || running[m.MemberID] {
				continue
			}
			out[group] = append(out[group], m.MemberID)
		}
	}
	return out
}

// bury takes members out of their groups that were dead before as well, longer ago than a session lasts. Kafka does so by
// itself. The in-process broker starts no session for a member whose connection is lost when its join or sync is
// answered, so that it stays for ever, with what is assigned to it.
func (w *world) bury(before map[string][]string) (now map[string][]string) {
	now = w.dead()
	for group, ids := range now {
		req := kmsg.NewPtrLeaveGroupRequest()
		req.Group = group
		for _, id := range ids {
			if slices.Contains(before[group], id) {
				m := kmsg.NewLeaveGroupRequestMember()
				m.MemberID = id
				req.Members = append(req.Members, m)
			}
		}
		if len(req.Members) == 0 {
			continue
		}
		w.buried += len(req.Members)
		if _, err := req.RequestWith(context.Background(), w.client); err != nil {
			w.fault("take dead members out of group %s: %v", group, err)
		}
	}
	return now
}

// wait is a group that waits for members to join.
type wait struct {
	generation int32
	since      time.Time
}

// waitsOn reports whether a group waits for longer than a rebalance may take, which is the broker's fault: Kafka goes on
// without whoever has not joined by then. The in-process broker starts the time again at each join, and miscounts those that
// have joined when one leaves that waited for its assignment, so that replicas which ask again one after the other wait for
// ever. Starting them at one moment helps.
func (w *world) waitsOn(since map[string]wait) bool {
	for _, group := range w.groups() {
		g := w.broker.GroupInfo(group)
		if g == nil || g.State != "PreparingRebalance" {
			delete(since, group)
			continue
		}
		if was, ok := since[group]; !ok || was.generation != g.Epoch {
			since[group] = wait{g.Epoch, time.Now()}
		} else if time.Since(was.since) > rebalances {
			return true
		}
	}
	return false
}

// describe says how all replicas and groups are.
func (w *world) describe() string {
	var out strings.Builder
	for _, p := range w.live() {
		fmt.Fprintf(&out, "replica %d:", p.replica)
		p.clients.mu.Lock()
		open := slices.Clone(p.clients.open)
		p.clients.mu.Unlock()
		for _, cl := range open {
			if id, generation := cl.GroupMetadata(); id != "" {
				fmt.Fprintf(&out, " %s in %d, paused %v, at %v", id, generation, cl.PauseFetchPartitions(nil), cl.UncommittedOffsets())
			}
		}
		fmt.Fprintln(&out)
		for _, s := range p.proc.Status() {
			fmt.Fprintf(&out, "  %+v\n", s)
		}
	}
	for _, group := range w.groups() {
		fmt.Fprintf(&out, "%s: %s\n", group, w.members(group))
	}
	return out.String()
}

// members describes a group.
func (w *world) members(group string) string {
	g := w.broker.GroupInfo(group)
	if g == nil {
		return "none"
	}
	out := fmt.Sprintf("%s, generation %d", g.State, g.Epoch)
	for _, m := range g.Members {
		out += fmt.Sprintf(", %s %v", m.MemberID, m.Assignment)
	}
	return out
}
