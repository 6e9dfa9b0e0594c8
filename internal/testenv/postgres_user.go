package testenv

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// serverUID is who runs a server that refuses to be run by root: nobody, on every Linux distribution.
const serverUID = 65534

// serverCredential is nil unless this process is root's.
func serverCredential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: serverUID, Gid: serverUID, NoSetGroups: false}
}

// giveAway returns a tree with the same files that the server's user can read, and makes dir that user's own. For an
// ordinary user that is the tree itself. Root's cache lies below a private directory, so for root the tree's files are
// linked (copied when they lie on another file system) into dir.
func giveAway(tree, dir string) (string, error) {
	if os.Geteuid() != 0 {
		return tree, nil
	}
	if err := os.Chown(dir, serverUID, serverUID); err != nil {
		return "", fmt.Errorf("give the server its directory: %w", err)
	}
	linked := filepath.Join(dir, "postgres")
	err := linkTree(tree, linked)
	if errors.Is(err, syscall.EXDEV) {
		if err = os.RemoveAll(linked); err == nil {
			err = os.CopyFS(linked, os.DirFS(tree))
		}
	}
	if err != nil {
		return "", fmt.Errorf("give the server its programs: %w", err)
	}
	return linked, nil
}

// linkTree makes to a tree of directories like from, holding hard links to its files.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.Mkdir(filepath.Join(to, rel), 0o755)
		}
		return os.Link(path, filepath.Join(to, rel))
	})
}
