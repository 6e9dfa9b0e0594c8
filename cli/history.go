package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/sinks/sqlite"
	"github.com/freshet-dev/freshet/stream"
)

// historyBench is one run of `freshet bench history`.
type historyBench struct {
	options             // of the processes; targets: the flow's own that are written, nil: none
	corpus, git         string
	check               bool
	limit, restartEvery int
	done                func(history.Commit, history.CommitReport) // told of each commit; may be nil
	terminal            io.Writer                                  // shows progress when it is one; may be nil

	flow      *flow.Flow
	into      []flow.Target
	freshness *history.Freshness
	replay    *history.Replay
}

// run replays the history and, when asked to, checks the outcome.
func (b *historyBench) run(ctx context.Context) (report history.Report, err error) {
	if err := b.prepare(); err != nil {
		return report, err
	}
	remove, err := b.directory()
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	b.aim()
	from, err := b.open(ctx)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	shown := b.progress(ctx)
	report, err = b.replay.Run(ctx, from)
	shown.Done()
	if err != nil {
		return report, err
	}
	if b.check {
		shown := newProgress(b.terminal, "compare with the last state alone", "")
		defer shown.Done()
		report.Total.Check = &history.Check{Tables: map[string]history.Difference{}}
		if err := b.again(ctx, &report.Total.Check.Again); err != nil {
			return report, err
		}
		if err := b.compare(ctx, report.Total.Check); err != nil {
			return report, err
		}
	}
	return report, b.measure(ctx, &report.Total.State)
}

// progress shows how far the replay is.
func (b *historyBench) progress(ctx context.Context) *progress {
	p := newProgress(b.terminal, "replay", "commits")
	if p == nil {
		return nil
	}
	var commits, edits int64
	all, tell := b.commits(ctx, b.replay.Selection.Takes), b.replay.Done
	p.Set(0, all, "")
	b.replay.Done = func(c history.Commit, r history.CommitReport) {
		commits, edits = commits+1, edits+r.Edits
		p.Set(commits, all, fmt.Sprintf("%d edits", edits))
		if tell != nil {
			tell(c, r)
		}
	}
	return p
}

// commits counts what is going to be replayed. A recorded history is read for it; 0 stands for an unknown number. What
// is wrong with the history is the replay's to say.
func (b *historyBench) commits(ctx context.Context, takes func(path string) bool) (n int64) {
	if b.corpus == "" {
		return 0
	}
	from, err := history.OpenCorpus(b.corpus)
	if err != nil {
		return 0
	}
	defer from.Close()
	for b.limit == 0 || n < int64(b.limit) {
		commit, err := from.Next()
		switch {
		case err == io.EOF:
			return n
		case err != nil || ctx.Err() != nil:
			return 0
		case slices.ContainsFunc(commit.Edits, func(e history.Edit) bool { return takes(e.Path) }):
			n++
		}
	}
	return n
}

// prepare reads the flow.
func (b *historyBench) prepare() error {
	a, err := newApp(b.options)
	if err != nil {
		return err
	}
	b.flow = a.flow
	files := a.filesSources()
	if len(files) == 0 {
		only := a.flow.Sources[0]
		return usagef("bench history replays edits of files, but source %s of flow %s is of kind %s", only.Name, a.flow.Name, only.Kind)
	}
	if len(files) > 1 {
		return usagef("bench history replays edits of one directory, but flow %s has %d sources of kind files", a.flow.Name, len(files))
	}
	source := files[0]
	decode, _ := decoder(source)
	b.replay = &history.Replay{
		Selection: history.Selection{Source: source.Name, Include: source.Settings.Strings("include"),
			Exclude: source.Settings.Strings("exclude"), MaxBytes: int64(source.Settings.Int("max_bytes"))},
		Start:  func(ctx context.Context) (history.Process, error) { return b.start(ctx, b.dataDir, b.into) },
		Ledger: history.NewLedger(a.flow.Program, decode, source.Name),
		Limit:  b.limit, RestartEvery: b.restartEvery, Done: b.done,
	}
	return nil
}

// directory makes the data directory, a temporary one unless it is given. One that is given must be empty, and stays.
func (b *historyBench) directory() (remove func() error, err error) {
	if b.dataDir == "" {
		b.dataDir, err = os.MkdirTemp("", "freshet-history-*")
		return func() error { return os.RemoveAll(b.dataDir) }, err
	}
	held, err := os.ReadDir(b.dataDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, usagef("data directory: %v", err)
	}
	if len(held) > 0 {
		return nil, usagef("data directory %s is not empty; a replay begins with nothing", b.dataDir)
	}
	b.dataDir, err = filepath.Abs(b.dataDir)
	return func() error { return nil }, err
}

func (b *historyBench) open(ctx context.Context) (history.Reader, error) {
	if b.git != "" {
		return history.OpenGit(ctx, b.git)
	}
	return history.OpenCorpus(b.corpus)
}

// aim decides what the replay writes: the flow's targets that were named, or one SQLite file with all tables.
func (b *historyBench) aim() {
	all := flow.Target{Name: "history"}
	for _, t := range b.flow.Program.Tables() {
		all.Config.Tables = append(all.Config.Tables, stream.TargetTable{Table: t})
	}
	b.into = []flow.Target{inSQLite(all, b.dataDir)}
	if b.targets != nil {
		b.into = slices.DeleteFunc(slices.Clone(b.flow.Targets), func(t flow.Target) bool { return !slices.Contains(b.targets, t.Name) })
	}
	b.freshness = history.NewFreshness(len(b.into))
	b.replay.Freshness = b.freshness
}

// inSQLite is a target with the tables and conditions of t, in an SQLite file of its own.
func inSQLite(t flow.Target, dir string) flow.Target {
	out := flow.Target{Name: t.Name, Kind: "sqlite", Spec: sqlite.Spec(), Where: t.Where}
	out.Config.Settings.Values = stream.MapOf(stream.Entry{Key: "path", Value: stream.StringOf(filepath.Join(dir, t.Name+".db"))})
	for _, kept := range t.Config.Tables {
		out.Config.Tables = append(out.Config.Tables, stream.TargetTable{Table: kept.Table})
	}
	return out
}

// measure adds up state and vectors, when all processes have stopped.
func (b *historyBench) measure(ctx context.Context, s *history.State) (err error) {
	if s.Bytes, err = sizeOf(filepath.Join(b.dataDir, "state")); err != nil {
		return err
	}
	var v history.Vectors
	for _, t := range b.into[:min(1, len(b.into))] {
		err = b.read(ctx, t, func(r stream.Reader) error {
			for _, kept := range t.Config.Tables {
				if err := v.Read(ctx, kept.Table.Name, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	s.VectorBytes, s.DistinctVectors = v.All, v.Distinct
	return err
}

func sizeOf(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// read opens a target that no process writes, and closes it afterwards.
func (b *historyBench) read(ctx context.Context, t flow.Target, fn func(stream.Reader) error) (err error) {
	sink, err := t.Spec.New(t.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	reader, ok := sink.(stream.Reader)
	if !ok {
		return fmt.Errorf("target %s can't be read back, so it can't be compared", t.Name)
	}
	if _, err := sink.Open(ctx, b.flow.Name, t.Name); err != nil {
		return err
	}
	return fn(reader)
}
