//go:build unix

package cli

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDir takes a directory until it is released or the process ends; a second process is refused.
func lockDir(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, usagef("data directory %s can't be made: %v; choose another with --data-dir", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, usagef("data directory %s can't be written: %v; choose another with --data-dir", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, usagef("data directory %s is in use by another freshet; stop it first, or choose another with --data-dir", dir)
	}
	return func() { _ = f.Close() }, nil
}
