package testenv

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Pinned builds command freshet as it was in an earlier commit of this repository and returns the binary's path. tree is
// the commit's tree (`git rev-parse COMMIT^{tree}`), which names the files whatever becomes of the commit's message. A
// source tree without that history is a missing component.
func Pinned(t testing.TB, tree string) (bin string) {
	t.Helper()
	bin, err := buildPinned(t.Context(), tree, t.TempDir())
	must(t, err)
	return bin
}

func buildPinned(ctx context.Context, tree, dir string) (string, error) {
	src, err := checkOut(ctx, tree)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "freshet-"+tree[:8])
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-w", "-o", bin, "./cmd/freshet")
	cmd.Dir, cmd.Env = src, append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build freshet of tree %s: %w\n%s", tree, err, out)
	}
	return bin, nil
}

// checkOut puts the tree's files below the cache directory, whose place is always the same, so that Go's build cache
// knows them the next time.
func checkOut(ctx context.Context, tree string) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	src := filepath.Join(cache, "source-"+tree)
	if _, err := os.Stat(src); err == nil {
		return src, nil
	}
	// Protected settings are read from the command line: a clone of another user's is fine to read.
	git := []string{"-c", "safe.directory=*"}
	top, err := exec.CommandContext(ctx, "git", append(git, "rev-parse", "--show-toplevel")...).Output()
	if err != nil {
		return "", &missing{"history", fmt.Sprintf("this source tree has no history (%v)", told(err))}
	}
	cmd := exec.CommandContext(ctx, "git", append(git, "archive", "--format=tar", tree)...)
	cmd.Dir = strings.TrimSpace(string(top)) // elsewhere git archives what lies below that directory
	archive, err := cmd.Output()
	if err != nil {
		return "", &missing{"history", fmt.Sprintf("git has no tree %s (%v): this is no clone with its history", tree, told(err))}
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(cache, "source-new-")
	if err != nil {
		return "", err
	}
	if err := untar(archive, tmp); err != nil {
		return "", errors.Join(err, os.RemoveAll(tmp))
	}
	err = os.Rename(tmp, src)
	if _, there := os.Stat(src); err != nil && there == nil {
		return src, os.RemoveAll(tmp) // another test was faster
	}
	return src, err
}

// told adds what a command said on its standard error.
func told(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}

func untar(archive []byte, dir string) error {
	files := tar.NewReader(bytes.NewReader(archive))
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || !fs.ValidPath(h.Name) {
			continue
		}
		if err := writeTo(filepath.Join(dir, filepath.FromSlash(h.Name)), files); err != nil {
			return err
		}
	}
}

func writeTo(path string, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}
