package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Edited builds freshet to bin as another version of it would be: in one source file, whose path is relative to the module's root, each first text
// of edits, which stands there once, is replaced by the second. Nothing in the tree is touched. It is built as today's freshet is, so that
// Go's build cache has all that does not depend on the file.
func Edited(bin, file string, edits ...[2]string) error {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module's root: %w", told(err))
	}
	dir, err := os.MkdirTemp("", "freshet-edited-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	overlay, err := lay(dir, filepath.Join(strings.TrimSpace(string(root)), filepath.FromSlash(file)), edits)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-ldflags=-w", "-overlay", overlay, "-o", bin, "github.com/freshet-dev/freshet/cmd/freshet")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build freshet with another %s: %w\n%s", file, err, out)
	}
	return nil
}

// lay writes the edited file into dir, and beside it the file that lays it over the original.
func lay(dir, original string, edits [][2]string) (overlay string, err error) {
	b, err := os.ReadFile(original)
	if err != nil {
		return "", err
	}
	text := string(b)
	for _, e := range edits {
		if n := strings.Count(text, e[0]); n != 1 {
			return "", fmt.Errorf("%s has %d times %q, want once; say what is to be edited now", original, n, e[0])
		}
		text = strings.Replace(text, e[0], e[1], 1)
	}
	edited, overlay := filepath.Join(dir, filepath.Base(original)), filepath.Join(dir, "overlay.json")
	named, err := json.Marshal(map[string]map[string]string{"Replace": {original: edited}})
	return overlay, errors.Join(err, os.WriteFile(edited, []byte(text), 0o644), os.WriteFile(overlay, named, 0o644))
}
