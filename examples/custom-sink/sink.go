// Package jsonfiles is a target of your own: tables as directories of JSON files, one for each document. See README.md.
//
// Package sinks/guard does the rest (DESIGN.md, invariants 1, 3 and 4). What it asks for is one atomic step, Update.
package jsonfiles

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Spec declares the target: all that a flow file, the JSON Schema and the reference need to know of it.
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name:          "jsonfiles",
		Doc:           "A directory of JSON files, one for each document of a table.",
		Settings:      []stream.Setting{{Name: "path", Kind: stream.SettingString, Required: true, Doc: "The directory, relative to the flow file."}},
		TableSettings: []stream.Setting{{Name: "table", Kind: stream.SettingString, Doc: "Its directory; the table's own name when absent."}},
		Guarantees:    stream.Guarantees{Vectors: true, Deletes: true},
		New: func(c stream.SinkConfig) (stream.Sink, error) {
			path := c.Settings.String("path")
			if !filepath.IsAbs(path) {
				path = filepath.Join(c.Settings.Dir, path)
			}
			return guard.OverBuckets(directory(path), guard.TablesOf(c.Tables), guard.Options{})
		},
	}
}

// directory implements guard.Buckets: a directory for each bucket, a file for each entry.
type directory string

func (d directory) Open(context.Context) error {
	return failed("make", string(d), os.MkdirAll(string(d), 0o755))
}

func (d directory) Close() error { return nil }
func (d directory) bucket(name string) string {
	return filepath.Join(string(d), "in "+url.PathEscape(name))
}

// Update holds the directory's lock while an entry changes, so that no other process changes it meanwhile.
func (d directory) Update(_ context.Context, bucket, key string, change func(entry []byte) ([]byte, error)) error {
	lock, err := os.OpenFile(filepath.Join(string(d), "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return failed("open the lock of", string(d), err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return failed("lock", string(d), err)
	}
	path := filepath.Join(d.bucket(bucket), fmt.Sprintf("%x.json", sha256.Sum256([]byte(key))))
	before, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("read", path, err)
	}
	after, err := change(before)
	switch {
	case err != nil:
		return err
	case after != nil:
		return failed("write", path, d.replace(path, after))
	case before != nil:
		return failed("remove", path, os.Remove(path))
	}
	return nil
}

// replace writes a file whole and durably: a reader, and a process after a crash, finds the old one or the new one.
func (d directory) replace(path string, content []byte) error {
	f, err := os.Create(filepath.Join(string(d), "new")) // whoever has the lock is alone with it
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Sync(), f.Close(), os.MkdirAll(filepath.Dir(path), 0o755)); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Each reads the bucket's files; one that goes meanwhile was removed by another writer.
func (d directory) Each(_ context.Context, bucket string, visit func(entry []byte) error) error {
	files, err := os.ReadDir(d.bucket(bucket))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failed("read", d.bucket(bucket), err)
	}
	for _, f := range files {
		entry, err := os.ReadFile(filepath.Join(d.bucket(bucket), f.Name()))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return failed("read", f.Name(), err)
		default:
			if err := visit(entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// failed classes an error: a full or absent disk may come back, so what failed is tried again.
func failed(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	return stream.Errorf(stream.Transient, doing+" "+path, "%w", err)
}
