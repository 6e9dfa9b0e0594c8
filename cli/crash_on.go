//go:build crashpoints

package cli

import (
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// crashPoint is called at the named points. It kills the process when it reaches the point that FRESHET_CRASH=POINT:N
// names for the N-th time. FRESHET_POINTS names a directory in which a test arms points while the process runs: the next
// time a point is reached whose file lies there, the file is removed, and what it says happens: kill or stop.
var crashPoint = newCrashPoint(os.Getenv("FRESHET_CRASH"), os.Getenv("FRESHET_POINTS"))

func newCrashPoint(spec, dir string) func(string) {
	name, times, _ := strings.Cut(spec, ":")
	n, _ := strconv.Atoi(times)
	var seen atomic.Int64
	return func(point string) {
		if point == name && seen.Add(1) == int64(n) {
			die()
		}
		if dir != "" {
			armed(filepath.Join(dir, point))
		}
	}
}

// armed does what the point's file says, once.
func armed(path string) {
	action, err := os.ReadFile(path)
	if err != nil || os.Remove(path) != nil {
		return // not armed, or another goroutine was first
	}
	switch string(action) {
	case "kill":
		die()
	case "stop":
		// Another thread may be the one that takes the signal, and take its time: this one must not go on meanwhile.
		goOn := make(chan os.Signal, 1)
		signal.Notify(goOn, syscall.SIGCONT)
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		<-goOn
		signal.Stop(goOn)
	}
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// patience shortens the time-outs of group sessions and transactions: FRESHET_PATIENCE=2s.
func patience() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("FRESHET_PATIENCE"))
	return d
}
