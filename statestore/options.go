package statestore

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// Sizes are per partition, and a process may own many: they bound what each keeps in memory. A memtable costs its size
// as heap, again as mapped log, and as much once more while it is flushed. A value must fit into a transaction, which is
// 15 % of a memtable; larger ones go to the value log, whose space comes back only at the next Open.
const (
	memTable     = 2 << 20
	table        = 1 << 20 // building one takes twice its size, and Badger keeps what was taken
	largeValue   = 300 << 10
	blockCache   = 1 << 20
	indexCache   = 16 << 20
	valueLogSize = 64 << 20
	levelZero    = 5 // tables in the first level before they are merged
)

// moreTables may come to the first level while it is merged into the next one; then writing waits. Badger merges four of
// them by themselves meanwhile, and drops a deletion then as soon as no lower level holds the key, whatever the tables that are being merged hold:
// the key would be back. All tables of the level overlap by lowKey, so that a merge takes all that are there.
const moreTables = 3

func options(dir string, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.NumVersionsToKeep = 1
	o.DetectConflicts = false // one writer
	// Without it a rotated log is never synced, so that a later one could survive an earlier one.
	o.SyncWrites = true
	o.VerifyValueChecksum = true // tables are verified before they are opened
	o.MetricsEnabled = false
	o.MemTableSize = memTable
	o.NumMemtables = 1
	o.BaseTableSize = table
	o.ValueThreshold = largeValue
	o.NumCompactors = 2
	o.NumLevelZeroTables, o.NumLevelZeroTablesStall = levelZero, levelZero+moreTables
	o.BlockCacheSize = blockCache
	o.IndexCacheSize = indexCache
	o.ValueLogFileSize = valueLogSize
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
