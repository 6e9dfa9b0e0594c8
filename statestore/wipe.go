package statestore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// wiped is where a directory goes before its files are deleted one by one.
func wiped(dir string) string { return filepath.Clean(dir) + ".wiped" }

// Wipe deletes the state in dir; a directory that is absent is no error, one that is open is (ErrLocked). After a crash
// half-way the next Open or Wipe finishes it: no Open ever sees a part of the old state.
func Wipe(dir string) error {
	if err := wipe(dir); err != nil {
		return openError("wipe state directory "+dir, err)
	}
	return nil
}

func wipe(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return os.RemoveAll(wiped(dir))
	}
	if err := onlyState(dir); err != nil {
		return err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := writeFile(filepath.Join(dir, wipingFile), nil); err != nil {
		return err
	}
	return remove(dir)
}

// remove moves dir away and deletes it. The rename is synced first: a crash shows the sentinel or no directory.
func remove(dir string) error {
	if err := os.RemoveAll(wiped(dir)); err != nil {
		return err
	}
	if err := os.Rename(dir, wiped(dir)); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return err
	}
	return os.RemoveAll(wiped(dir))
}

// finishWipe completes a wipe that was cut short.
func finishWipe(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, wipingFile)); err == nil {
		return wipe(dir)
	}
	return os.RemoveAll(wiped(dir))
}

// onlyState refuses to delete what Open did not make.
func onlyState(dir string) error {
	for _, name := range []string{identityFile, wipingFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return nil
		}
	}
	return empty(dir)
}
