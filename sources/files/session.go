package files

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/freshet-dev/freshet/stream"
)

// A change is published when its file has been quiet for a moment, or at the latest when it has waited for long.
const (
	quiet   = 8 * time.Millisecond
	longest = 25 * time.Millisecond
	retry   = time.Second // after a transient failure
)

// session watches one opening of the root.
type session struct {
	*tree
	notify *fsnotify.Watcher
	paths  map[string]bool // watched directories, below the root
	dirty  map[string]bool // paths to compare; "": all
	since  time.Time       // of the first of them
	// unwatched: it was logged that a directory has no watch.
	unwatched bool
	timer     *time.Timer // fires when they are due
}

// session runs until ctx ends, the root is gone (errRoot) or something fails. It closes the tree.
func (w *Watcher) session(ctx context.Context, t *tree) (err error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return errors.Join(&stream.Error{Op: "watch the directory " + t.options.Root, Kind: stream.Usage, Err: err}, t.close())
	}
	s := &session{tree: t, notify: notify, paths: map[string]bool{}, dirty: map[string]bool{}, timer: time.NewTimer(0)}
	defer func() { err = errors.Join(err, notify.Close(), t.close()) }()
	defer s.timer.Stop()
	s.mark("") // the timer fires at once: the first comparison
	s.timer.Reset(0)
	return s.loop(ctx)
}

func (s *session) loop(ctx context.Context) error {
	rescan := time.NewTicker(s.options.Rescan)
	defer rescan.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-s.notify.Events:
			if err := s.note(e); err != nil {
				return err
			}
		case err := <-s.notify.Errors:
			s.lost(err)
		case <-rescan.C:
			s.mark("")
		case <-s.timer.C:
			if err := s.publish(ctx); err != nil {
				return err
			}
		}
	}
}

// note marks what a notification is about.
func (s *session) note(e fsnotify.Event) error {
	rel, err := filepath.Rel(s.realPath, e.Name)
	if err != nil || !filepath.IsLocal(rel) {
		return nil
	}
	if rel == "." {
		if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
			return s.present()
		}
		return nil
	}
	path := filepath.ToSlash(rel)
	if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
		s.unwatch(path)
	}
	if !own(path) {
		s.mark(path)
	}
	return nil
}

// lost follows an error of the notifications, of which an overflow is the usual one: anything may have changed.
func (s *session) lost(err error) {
	if !errors.Is(err, fsnotify.ErrEventOverflow) {
		s.log.Warn("notifications of file changes failed; comparing all files", "root", s.options.Root, "error", err)
	}
	s.unwatch("")
	s.mark("")
}

// mark notes a path to compare and sets the timer to when that is due.
func (s *session) mark(path string) {
	now := time.Now()
	if len(s.dirty) == 0 {
		s.since = now
	}
	s.dirty[path] = true
	s.timer.Reset(min(quiet, s.since.Add(longest).Sub(now)))
}

// publish compares the marked paths. After a transient failure they stay marked.
func (s *session) publish(ctx context.Context) error {
	if len(s.dirty) == 0 {
		return nil
	}
	if err := s.present(); err != nil {
		return err
	}
	_, err := s.compare(ctx, s.marked(), s.watchDir)
	if err != nil && ctx.Err() == nil && stream.KindOf(err) == stream.Transient && !errors.Is(err, errRoot) {
		s.log.Warn("file changes could not be published; trying again", "root", s.options.Root, "error", err)
		s.timer.Reset(retry)
		return nil
	}
	clear(s.dirty)
	return err
}

func (s *session) marked() []string {
	if s.dirty[""] {
		return []string{""}
	}
	paths := make([]string, 0, len(s.dirty))
	for p := range s.dirty {
		paths = append(paths, p)
	}
	return paths
}

// watchDir asks for notifications of a directory. Without them the rescan finds its changes.
func (s *session) watchDir(dir string) {
	path := filepath.Join(s.realPath, filepath.FromSlash(dir))
	err := s.notify.Add(path)
	if err == nil {
		s.paths[dir] = true
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) || s.unwatched {
		return
	}
	s.unwatched = true
	s.log.Warn("a directory can't be watched, so its changes are found at the rescan only; on Linux raise fs.inotify.max_user_watches",
		"path", path, "error", err)
}

// unwatch ends the watches of a directory and of those in it. A directory that was moved must lose them before it is
// watched at its new place: the system would go on to report it, and all below it, under the old name.
func (s *session) unwatch(dir string) {
	if !s.paths[dir] {
		return
	}
	for p := range s.paths {
		if dir == "" || below(p, dir) {
			_ = s.notify.Remove(filepath.Join(s.realPath, filepath.FromSlash(p))) // it may have ended by itself
			delete(s.paths, p)
		}
	}
}
