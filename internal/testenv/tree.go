package testenv

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// running reports whether the child was started and has not ended.
func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// killTree ends the child and its children by SIGKILL and returns when all are gone. Postgres's backends lead process
// groups of their own, and a server does not start while one of them holds on to the shared memory.
func (p *process) killTree() {
	if !p.running() {
		return
	}
	p.signal(syscall.SIGSTOP) // from here on it forks no more
	children := childrenOf(p.pid)
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	p.kill()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, pid := range children {
		for alive(pid) {
			<-tick.C
		}
	}
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(pid) + "/children")
	if err != nil {
		return nil
	}
	var pids []int
	for field := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// alive reports whether pid is there and not merely waiting to be collected.
func alive(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}
