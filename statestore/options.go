package statestore

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Sizes are per partition, and a process may own many: they bound what each keeps in memory. A memtable costs its size
// as heap, again as mapped log, and twice more while it is flushed: 16 MiB ones took 8 busy partitions to 530 MiB with the
// garbage collector held below 200 MiB, 8 MiB ones to 360 MiB. Smaller ones would make a transaction smaller than the
// largest value that lies in the tree (1 MiB).
const (
	memTable   = 8 << 20
	blockCache = 8 << 20
	indexCache = 16 << 20
	valueLog   = 64 << 20
)

func options(dir string, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.NumVersionsToKeep = 1
	o.DetectConflicts = false // one writer
	// Without it a rotated log is never synced, so that a later one could survive an earlier one.
	o.SyncWrites = true
	o.MetricsEnabled = false
	o.MemTableSize = memTable
	o.NumMemtables = 2
	o.NumCompactors = 2
	o.BlockCacheSize = blockCache
	o.IndexCacheSize = indexCache
	o.ValueLogFileSize = valueLog
	o.Logger = logger{log}
	return o
}

// logger passes on errors, which background work (flush, compaction) has no caller to return to. Badger's warnings are
// about tuning.
type logger struct{ log *slog.Logger }

func (l logger) Errorf(format string, args ...any)   { l.log.Error("state: " + text(format, args)) }
func (l logger) Warningf(format string, args ...any) { l.log.Debug("state: " + text(format, args)) }
func (l logger) Infof(string, ...any)                {}
func (l logger) Debugf(string, ...any)               {}

func text(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
