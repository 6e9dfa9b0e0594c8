//go:build unix

package statestore

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// lockDir takes dir for this opening. Closing the file gives it back, and so does the end of the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err == nil && !inPlace(f) {
		err = ErrLocked // by a wipe, which moved the directory away after we opened the file
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func inPlace(f *os.File) bool {
	held, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(f.Name())
	return err == nil && os.SameFile(held, there)
}

// occupied is what a file takes on disk: memory-mapped logs are mostly holes.
func occupied(info os.FileInfo) int64 {
	const block = 512
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * block
	}
	return info.Size()
}
