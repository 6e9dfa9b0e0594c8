package statestore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Identity says whose state a directory holds.
type Identity struct {
	Flow      string `json:"flow"`
	Partition int32  `json:"partition"`
}

// String names the owner in messages.
func (i Identity) String() string { return fmt.Sprintf("flow %s, partition %d", i.Flow, i.Partition) }

// Names inside a state directory.
const (
	identityFile = "identity.json"
	lockFile     = "lock"
	wipingFile   = "wiping"
	loadingFile  = "loading" // until a state that is written in bulk is complete
	closedFile   = "closed"  // the checkpoint when it was closed
	dataDir      = "data"
)

// ensure checks that dir is i's, or makes it so when it is empty.
func (i Identity) ensure(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return i.settle(dir)
	}
	if err != nil {
		return err
	}
	return i.compare(b)
}

// Check refuses a directory that another flow's or partition's state lies in (kind Usage, ErrForeign), without taking it.
func (i Identity) Check(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, identityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // Open decides
	}
	if err == nil {
		err = i.compare(b)
	}
	if err != nil {
		return openError("open state directory "+dir, err)
	}
	return nil
}

// compare reads an identity file.
func (i Identity) compare(b []byte) error {
	var held Identity
	if err := json.Unmarshal(b, &held); err != nil {
		return fmt.Errorf("%w: its %s can't be read: %w", ErrForeign, identityFile, err)
	}
	if held != i {
		return fmt.Errorf("%w: the state of %s, not of %s; choose another directory", ErrForeign, held, i)
	}
	return nil
}

// settle writes the identity, before any data is there.
func (i Identity) settle(dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	b, err := json.Marshal(i)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, identityFile), append(b, '\n'))
}

// empty checks that a directory without identity holds nothing but what an Open leaves that was cut short.
func empty(dir string) error {
	found, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range found {
		if f.Name() != lockFile && f.Name() != identityFile+".new" {
			return fmt.Errorf("%w: %s, but no %s; choose an empty directory", ErrForeign, f.Name(), identityFile)
		}
	}
	return nil
}

// writeFile puts a file in place whole and durably.
func writeFile(path string, b []byte) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncFile(f *os.File) error {
	return f.Sync()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
