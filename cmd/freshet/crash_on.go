//go:build crashpoints

package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// crashPoint kills the process when it reaches the point named by FRESHET_CRASH=POINT:N for the N-th time.
var crashPoint = newCrashPoint(os.Getenv("FRESHET_CRASH"))

func newCrashPoint(spec string) func(string) {
	name, times, _ := strings.Cut(spec, ":")
	n, _ := strconv.Atoi(times)
	var seen atomic.Int64
	return func(point string) {
		if point == name && seen.Add(1) == int64(n) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way
		}
	}
}
