package sqlite

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/freshet-dev/freshet/stream"
)

// owned are the files that this process owns. Several sinks of one process may share a file: epochs tell them apart.
var owned = struct {
	sync.Mutex
	files map[string]*ownedFile
}{files: map[string]*ownedFile{}}

type ownedFile struct {
	lock  *os.File
	users int
}

// own makes this process the owner of the database file, or refuses because another one is. The lock is held by the
// operating system on a file beside the database, so it ends with the process, and other programs may read freely.
func own(path string) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, stream.Errorf(stream.Usage, "open "+path, "%w", err)
	}
	path = canonical(path)
	owned.Lock()
	defer owned.Unlock()
	f := owned.files[path]
	if f == nil {
		lock, err := lockBeside(path)
		if err != nil {
			return nil, err
		}
		f = &ownedFile{lock: lock}
		owned.files[path] = f
	}
	f.users++
	return sync.OnceFunc(func() { disown(path) }), nil
}

func disown(path string) {
	owned.Lock()
	defer owned.Unlock()
	f := owned.files[path]
	if f.users--; f.users == 0 {
		_ = f.lock.Close() // closing unlocks; the file stays, since removing it would let two processes lock two files
		delete(owned.files, path)
	}
}

// canonical follows symbolic links, so that one file has one lock.
func canonical(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

func lockBeside(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, "open "+path, "%w", err)
	}
	if err := lockFile(f); err != nil {
		owner := readOwner(f)
		_ = f.Close()
		return nil, stream.Errorf(stream.Usage, "open "+path,
			"another process%s writes this file; stop it, or give this target a path of its own (%w)", owner, err)
	}
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0) // for the message above; the lock itself is the system's
	}
	return f, nil
}

// readOwner names the process that holds the lock, when it can be read.
func readOwner(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 20))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return " (" + pid + ")"
	}
	return ""
}
