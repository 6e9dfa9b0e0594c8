package powerloss

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// said is added to Badger's package of mapped files: it says what is about to be synced, and waits for the answer.
const said = `package z

import (
	"fmt"
	"os"
	"sync"
)

var (
	syncs, answers = os.NewFile(3, "syncs"), os.NewFile(4, "answers")
	saying         sync.Mutex
)

// AboutToSync says so.
func AboutToSync(path string) {
	saying.Lock()
	defer saying.Unlock()
	fmt.Fprintln(syncs, path)
	_, _ = answers.Read(make([]byte, 1))
}
`

const saidInBadger = `package badger

import "github.com/dgraph-io/ristretto/v2/z"

func aboutToSync(path string) { z.AboutToSync(path) }
`

// change is one place of a library where something is synced.
type change struct{ file, anchor, now string }

// modules are the libraries that sync, with every place where they do. A new version whose places differ fails the test:
// look at what changed, and bring the list up to date.
var modules = map[string][]change{
	"github.com/dgraph-io/ristretto/v2": {
		{"z/file.go", "func (m *MmapFile) Sync() error {\n\tif m == nil {\n\t\treturn nil\n\t}\n",
			"func (m *MmapFile) Sync() error {\n\tif m == nil {\n\t\treturn nil\n\t}\n\tif m.Fd != nil {\n\t\tAboutToSync(m.Fd.Name())\n\t}\n"},
		{"z/file.go", "func SyncDir(dir string) error {\n", "func SyncDir(dir string) error {\n\tAboutToSync(dir)\n"},
	},
	"github.com/dgraph-io/badger/v4": {
		{"table/table.go", "\tif err := z.Msync(mf.Data); err != nil {", "\tz.AboutToSync(fname)\n\tif err := z.Msync(mf.Data); err != nil {"},
		{"dir_unix.go", "func syncDir(dir string) error {\n", "func syncDir(dir string) error {\n\taboutToSync(dir)\n"},
		{"manifest.go", "{ return f.Sync() }", "{ aboutToSync(f.Name()); return f.Sync() }"},
		{"manifest.go", "\tif err := fp.Sync(); err != nil {", "\taboutToSync(rewritePath)\n\tif err := fp.Sync(); err != nil {"},
		// The file is written with O_DSYNC.
		{"key_registry.go", "\tif err = os.Rename(tmpPath,", "\taboutToSync(tmpPath)\n\tif err = os.Rename(tmpPath,"},
	},
}

// instrumented builds this test's binary with libraries that say what they sync.
func instrumented(t *testing.T) (bin string) {
	t.Helper()
	root := strings.TrimSuffix(goTool(t, "", "list", "-m", "-f", "{{.Dir}}"), "\n")
	work := workDir(t, root)
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for path, changes := range modules {
		to := filepath.Join(work, filepath.FromSlash(path))
		if _, err := os.Stat(to); err != nil {
			from := strings.TrimSpace(goTool(t, root, "list", "-m", "-f", "{{.Dir}}", path))
			if err := instrument(from, to, changes); err != nil {
				t.Fatalf("instrument %s: %v", path, err)
			}
		}
		mod = fmt.Appendf(mod, "\nreplace %s => %s\n", path, to)
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err := errors.Join(err, os.WriteFile(filepath.Join(work, "go.mod"), mod, 0o644), os.WriteFile(filepath.Join(work, "go.sum"), sum, 0o644)); err != nil {
		t.Fatal(err)
	}
	bin = filepath.Join(t.TempDir(), "powerloss.test")
	goTool(t, root, "test", "-c", "-modfile="+filepath.Join(work, "go.mod"), "-overlay="+overlay(t, root), "-o", bin, "./internal/powerloss")
	return bin
}

// overlay instruments statestore's own syncs of directories and value logs.
func overlay(t *testing.T, root string) string {
	t.Helper()
	const dirs, files = "func syncDir(dir string) error {\n", "func syncFile(f *os.File) error {\n"
	dir, replaced := t.TempDir(), filepath.Join(root, "statestore", "identity.go")
	text, err := os.ReadFile(replaced)
	if err != nil || strings.Count(string(text), dirs) != 1 || strings.Count(string(text), files) != 1 {
		t.Fatalf("%s has no functions syncDir and syncFile (%v)", replaced, err)
	}
	said := strings.NewReplacer(dirs, dirs+"\taboutToSync(dir)\n", files, files+"\taboutToSync(f.Name())\n")
	overlaid := map[string]string{
		replaced: said.Replace(string(text)),
		filepath.Join(root, "statestore", "said.go"): strings.Replace(saidInBadger, "package badger", "package statestore", 1),
	}
	named := map[string]map[string]string{"Replace": {}}
	for path, text := range overlaid {
		named["Replace"][path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(named["Replace"][path], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(named)
	path := filepath.Join(dir, "overlay.json")
	if err := errors.Join(err, os.WriteFile(path, b, 0o644)); err != nil {
		t.Fatal(err)
	}
	return path
}

// workDir is below the cache directory and always the same for the same libraries, so that Go's build cache knows them.
func workDir(t *testing.T, root string) string {
	t.Helper()
	cache := os.Getenv("FRESHET_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(dir, "freshet")
	}
	h := sha256.New()
	fmt.Fprint(h, said, modules, goTool(t, root, "list", "-m", "github.com/dgraph-io/ristretto/v2", "github.com/dgraph-io/badger/v4"), root)
	dir := filepath.Join(cache, "powerloss-"+hex.EncodeToString(h.Sum(nil))[:12])
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// instrument copies a module and changes the places where it syncs.
func instrument(from, to string, changes []change) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(to), "new-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	dir := filepath.Join(tmp, "module")
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		return err
	}
	for _, c := range changes {
		path := filepath.Join(dir, filepath.FromSlash(c.file))
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := strings.Count(string(text), c.anchor); n != 1 {
			return fmt.Errorf("%s has %d times %q, want once", c.file, n, c.anchor)
		}
		if err := rewrite(path, strings.Replace(string(text), c.anchor, c.now, 1)); err != nil {
			return err
		}
	}
	added := map[string]string{"z/said.go": said}
	if _, err := os.Stat(filepath.Join(dir, "z")); err != nil {
		added = map[string]string{"said.go": saidInBadger}
	}
	for name, text := range added {
		if err := rewrite(filepath.Join(dir, filepath.FromSlash(name)), text); err != nil {
			return err
		}
	}
	return os.Rename(dir, to)
}

// rewrite replaces a file that may be read-only, as the module cache's are.
func rewrite(path, text string) error {
	_ = os.Remove(path) // it may be absent
	return os.WriteFile(path, []byte(text), 0o644)
}

func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	var told strings.Builder
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, told.String())
	}
	return string(out)
}
