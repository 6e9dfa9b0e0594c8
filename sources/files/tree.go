package files

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/freshet-dev/freshet/stream"
)

// errRoot marks that the root is not there, or not the directory that was opened.
var errRoot = errors.New("the directory is gone or was replaced")

// tree is the directory, opened: os.Root keeps every access inside of it, whatever links say.
type tree struct {
	options   Options
	index     *index
	publisher Publisher
	log       *slog.Logger

	root     *os.Root
	realPath string // absolute, without links
	info     fs.FileInfo
	links    map[string]link // links that were followed, by name
	warned   map[string]bool
	open     func(root *os.Root, real string) (*os.File, error) // openFile; tests refuse
}

// link is where a symbolic link leads, below the root.
type link struct {
	target string
	dir    bool
}

func (w *Watcher) openTree(x *index) (*tree, error) {
	t := &tree{options: w.options, index: x, publisher: w.publisher, log: w.log, open: w.open,
		links: map[string]link{}, warned: map[string]bool{}}
	real, err := filepath.EvalSymlinks(w.options.Root)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err == nil {
		t.realPath = real
		t.root, err = os.OpenRoot(real)
	}
	if err != nil {
		return nil, rootError(w.options.Root, err)
	}
	if t.info, err = t.root.Stat("."); err == nil {
		_, err = t.readDir("")
	}
	if err != nil {
		return nil, rootError(w.options.Root, errors.Join(err, t.root.Close()))
	}
	return t, nil
}

func rootError(root string, err error) error {
	return stream.Errorf(stream.Usage, "watch the directory "+root,
		"%w; it must be a directory that exists and can be read: create it, or correct `root`", err)
}

// present checks that the root's path still names the directory that was opened.
func (t *tree) present() error {
	info, err := os.Stat(t.options.Root)
	if err == nil && os.SameFile(info, t.info) {
		return nil
	}
	return &stream.Error{Op: "watch the directory " + t.options.Root, Kind: stream.Transient, Err: errRoot}
}

// readDir lists a directory below the root; what a failing file system listed in part is an error as a whole.
func (t *tree) readDir(real string) ([]fs.DirEntry, error) {
	if real == "" {
		real = "."
	}
	d, err := t.open(t.root, real)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ReadDir(-1)
}

// resolve follows all links of a path; ok is false when it leads out of the root or nowhere.
func (t *tree) resolve(real string) (target string, info fs.FileInfo, ok bool) {
	abs, err := filepath.EvalSymlinks(filepath.Join(t.realPath, filepath.FromSlash(real)))
	if err != nil {
		return "", nil, false
	}
	rel, err := filepath.Rel(t.realPath, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return "", nil, false
	}
	info, err = t.root.Lstat(rel)
	if err != nil {
		return "", nil, false
	}
	if rel = filepath.ToSlash(rel); rel == "." {
		rel = ""
	}
	return rel, info, true
}

// withLinks adds the links that may show a change of the paths: every link to a file, since what lies on the way there
// may be another link, and those to directories that hold one of the paths.
func (t *tree) withLinks(paths []string) []string {
	all := append([]string{}, paths...)
	for name, l := range t.links {
		if !l.dir || touches(paths, l.target) {
			all = append(all, name)
		}
	}
	return all
}

func touches(paths []string, dir string) bool {
	for _, p := range paths {
		if p == "" || below(p, dir) || below(dir, p) {
			return true
		}
	}
	return false
}

// complain logs once that a path can't be looked at.
func (t *tree) complain(name string, err error) {
	if !t.warned[name] {
		t.warned[name] = true
		t.log.Warn("a directory can't be read; its files stay as they were published", "path", name, "error", err)
	}
}

func notThere(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func (t *tree) close() error { return t.root.Close() }
