package history

import (
	"github.com/bmatcuk/doublestar/v4"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// Selection says which files of a history belong to a source, as the source of kind files does.
type Selection struct {
	Source   string
	Include  []string
	Exclude  []string
	MaxBytes int64 // larger files are refused
}

// Takes reports whether the globs take a path.
func (s Selection) Takes(path string) bool {
	return matches(s.Include, path) && !matches(s.Exclude, path)
}

func matches(globs []string, path string) bool {
	for _, glob := range globs {
		if ok, err := doublestar.Match(glob, path); err == nil && ok {
			return true
		}
	}
	return false
}

// edits returns the edits that the globs take.
func (s Selection) edits(all []Edit) []Edit {
	var taken []Edit
	for _, e := range all {
		if s.Takes(e.Path) {
			taken = append(taken, e)
		}
	}
	return taken
}

// Record returns the record that a watcher of the source would write for the edit, made at the given time.
func (s Selection) Record(e Edit, modified int64) stream.Record {
	out := schemas.FileEvent{Source: s.Source, Path: e.Path, Content: e.Content, Size: int64(len(e.Content)), Modified: modified}
	switch {
	case e.Delete:
		out = schemas.FileEvent{Source: s.Source, Path: e.Path, Op: schemas.FileDelete, Modified: modified}
	case out.Size > s.MaxBytes:
		out.Op, out.Content, out.Reason = schemas.FileRefused, nil, "the file is larger than max_bytes of its source"
	}
	return schemas.EncodeFile(out)
}
