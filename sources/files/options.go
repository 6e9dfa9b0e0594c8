package files

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/freshet-dev/freshet/stream"
)

// Defaults of Options.
const (
	DefaultRescan   = 30 * time.Second
	DefaultMaxBytes = 8 << 20
)

// ownDir is where Freshet keeps its own files; it is never published, or a target in it would feed itself.
const ownDir = ".freshet"

// Options says what to watch.
type Options struct {
	Root     string        // the directory; it must exist when Run or Scan begins
	Include  []string      // globs of paths below the root, ** crosses directories; none: every file
	Exclude  []string      // globs of paths to leave out
	Rescan   time.Duration // how often all files are compared; 0: DefaultRescan
	MaxBytes int64         // larger files are refused; 0: DefaultMaxBytes
	// IndexPath is the file that remembers what was published. Its directory must exist. Only one Watcher may use it.
	IndexPath string
	// Identity is of what the index remembers, e.g. the topic's ID: an index of another identity is forgotten, so that
	// every file is published again.
	Identity string
	// Known, when set, lists paths that were published earlier: those that are neither in the index nor in the directory
	// are deleted. It makes the loss of the index harmless.
	Known func(ctx context.Context) ([]string, error)
}

func (o Options) withDefaults() Options {
	if len(o.Include) == 0 {
		o.Include = []string{"**/*"}
	}
	if o.Rescan == 0 {
		o.Rescan = DefaultRescan
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return o
}

// validate reports every fault.
func (o Options) validate() error {
	var faults []error
	if o.Root == "" {
		faults = append(faults, errors.New("root is empty: name the directory to watch"))
	}
	if o.IndexPath == "" {
		faults = append(faults, errors.New("no path for the index"))
	}
	if o.Rescan < 0 || o.MaxBytes < 0 {
		faults = append(faults, errors.New("rescan and max_bytes must not be negative"))
	}
	for _, glob := range append(append([]string{}, o.Include...), o.Exclude...) {
		if !doublestar.ValidatePattern(glob) || strings.HasPrefix(glob, "/") {
			faults = append(faults, fmt.Errorf("%q is no glob of paths below the root: write e.g. docs/**/*.md", glob))
		}
	}
	if len(faults) > 0 {
		return &stream.Error{Op: "watch files", Kind: stream.Usage, Err: errors.Join(faults...)}
	}
	return nil
}

// selects reports whether the globs take a file.
func (o Options) selects(path string) bool {
	return !own(path) && matches(o.Include, path) && !matches(o.Exclude, path)
}

// prunes reports whether nothing below a directory can be selected.
func (o Options) prunes(dir string) bool {
	if own(dir) {
		return true
	}
	for _, glob := range o.Exclude {
		if strings.HasSuffix(glob, "/**") && doublestar.MatchUnvalidated(glob, dir) {
			return true
		}
	}
	return false
}

func own(path string) bool { return strings.Contains("/"+path+"/", "/"+ownDir+"/") }

func matches(globs []string, path string) bool {
	for _, glob := range globs {
		if doublestar.MatchUnvalidated(glob, path) {
			return true
		}
	}
	return false
}
