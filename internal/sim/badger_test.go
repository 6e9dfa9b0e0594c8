//go:build synctests

package sim

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// diskRoot is a new directory, in memory where the system has such. The caller removes it.
func diskRoot(t *testing.T) string {
	const memory = "/dev/shm"
	at := ""
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		at = memory
	}
	root, err := os.MkdirTemp(at, "freshet-sim-")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// files is a disk whose stores are Badger's. What it holds when a process is killed is what its files hold then.
type files struct {
	tear
	root string // of all disks of the run
	dir  string
	turn chan struct{} // held by whoever writes files; a mutex would let virtual time stand still
}

func newFiles(root string) *files {
	dir, err := os.MkdirTemp(root, "disk")
	if err != nil {
		panic(err) // the machine's own disk is full
	}
	return &files{root: root, dir: dir, turn: make(chan struct{}, 1)}
}

func (f *files) of(p int32) string { return filepath.Join(f.dir, fmt.Sprint(p)) }

func (f *files) exclusively(fn func() error) error {
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	return fn()
}

// Open implements kafka.Stores.
func (f *files) Open(p int32) (s kafka.Store, err error) {
	err = f.exclusively(func() error {
		opened, err := statestore.Open(f.of(p), statestore.Identity{Flow: flowName, Partition: p}, slog.New(slog.DiscardHandler))
		s = &filed{opened, f, p}
		return err
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Wipe implements kafka.Stores.
func (f *files) Wipe(p int32) error {
	return f.exclusively(func() error { return statestore.Wipe(f.of(p)) })
}

func (f *files) copied() disk {
	out := newFiles(f.root)
	err := f.exclusively(func() error { return copyTree(f.dir, out.dir) })
	if err != nil {
		panic(err) // the machine's own disk is full
	}
	return out
}

// filed is one store. Its writes take one piece, after which an interruption at the next one comes.
type filed struct {
	*statestore.Store
	f *files
	p int32
}

func (s *filed) Apply(entries []stream.StateEntry, c stream.Checkpoint) error {
	return s.written(func() error { return s.Store.Apply(entries, c) })
}

func (s *filed) Loaded(c stream.Checkpoint) error {
	return s.written(func() error { return s.Store.Loaded(c) })
}

func (s *filed) written(write func() error) error {
	if err := s.f.interrupt(s.p, 0); err != nil {
		return err
	}
	if err := s.f.exclusively(write); err != nil {
		return err
	}
	return s.f.interrupt(s.p, 1)
}

func (s *filed) Load() error  { return s.f.exclusively(s.Store.Load) }
func (s *filed) Close() error { return s.f.exclusively(s.Store.Close) }

// copyTree copies a directory as a process would find it that comes after a killed one.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		return copyFile(path, filepath.Join(to, name))
	})
}

const (
	seekData = 3 // of Linux: the next byte that is not in a hole
	seekHole = 4
)

// copyFile leaves out holes, of which Badger's mapped logs mostly consist.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, info.Mode())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for at := int64(0); at < info.Size(); {
		begin, err := in.Seek(at, seekData)
		if err != nil {
			break // holes to the end
		}
		end, err := in.Seek(begin, seekHole)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(out, begin), io.NewSectionReader(in, begin, end-begin)); err != nil {
			return err
		}
		at = end
	}
	return out.Truncate(info.Size())
}
