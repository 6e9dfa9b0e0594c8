//go:build !unix

package statestore

import (
	"os"
	"path/filepath"
)

// lockDir opens the lock file. On this system Badger's own lock keeps others out of an open directory.
func lockDir(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
}

func occupied(info os.FileInfo) int64 { return info.Size() }
