package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/sources/files"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// watcher writes the files of a source to its topic.
type watcher struct {
	*files.Watcher
	scanned atomic.Bool // the first full scan was published
	pub     *kafka.Publisher
}

// startWatchers makes a watcher of each directory that is a source.
func (a *app) startWatchers() error {
	for _, s := range a.filesSources() {
		if err := a.startWatcher(s); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) startWatcher(s flow.Source) error {
	pub, err := a.cluster.OpenPublisher(s.Topic)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, pub.Close)
	root := s.Settings.String("root")
	if !filepath.IsAbs(root) {
		root = filepath.Join(filepath.Dir(a.flowFile), root)
	}
	if err := os.MkdirAll(a.dataDir, 0o755); err != nil {
		return usagef("data directory %s can't be made: %v; choose another with --data-dir", a.dataDir, err)
	}
	w, err := files.New(files.Options{
		Root: root, Include: s.Settings.Strings("include"), Exclude: s.Settings.Strings("exclude"),
		Rescan:   time.Duration(s.Settings.Int("rescan")),
		MaxBytes: int64(s.Settings.Int("max_bytes")), IndexPath: filepath.Join(a.dataDir, "watch-"+s.Name+".index"),
		Identity: a.topics.Input(s.Topic).ID,
		Known:    func(ctx context.Context) ([]string, error) { return a.knownFiles(ctx, s) },
	}, filePublisher{s.Name, pub}, a.log)
	if err != nil {
		return err
	}
	a.watchers = append(a.watchers, &watcher{Watcher: w, pub: pub})
	return nil
}

// Run scans once, then watches until ctx ends.
func (w *watcher) Run(ctx context.Context) error {
	if _, err := w.Watcher.Scan(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	w.scanned.Store(true)
	if err := w.Watcher.Run(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// knownFiles lists the paths that the topic holds live, for a watcher that lost its index.
func (a *app) knownFiles(ctx context.Context, source flow.Source) ([]string, error) {
	live := map[string]bool{}
	err := a.cluster.Keys(ctx, source.Topic, func(key string, alive bool) {
		live[strings.TrimPrefix(key, source.Name+"/")] = alive
	})
	var paths []string
	for p, alive := range live {
		if alive {
			paths = append(paths, p)
		}
	}
	return paths, err
}

// filePublisher writes file events as records of the source's topic.
type filePublisher struct {
	source string
	to     *kafka.Publisher
}

// Publish implements files.Publisher.
func (p filePublisher) Publish(ctx context.Context, events []files.Event) error {
	records := make([]stream.Record, len(events))
	for i, e := range events {
		out := schemas.FileEvent{Source: p.source, Path: e.Path, Content: e.Content, Size: e.Size, Modified: e.ModTime.UnixNano()}
		switch e.Op {
		case files.Delete:
			out.Op = schemas.FileDelete
		case files.Refused:
			out.Op, out.Reason = schemas.FileRefused, e.Reason
		}
		records[i] = schemas.EncodeFile(out)
	}
	return p.to.Publish(ctx, records)
}
