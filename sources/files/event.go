package files

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Op is what happened to a file.
type Op uint8

// Operations.
const (
	Put     Op = iota // the file is there, with this content
	Delete            // the file is gone
	Refused           // the file is there, but its content can't be sent
)

// Event is the state of one file. Events of one path are published in order; equal ones may come again.
type Event struct {
	Path    string // below the root, with slashes, as the file system has it; bytes that are no UTF-8 are written %XX
	Op      Op
	Content []byte    // of a Put, the receiver's to keep
	Size    int64     // bytes of the file, also when it is refused
	ModTime time.Time // of the file; of a Delete: when it was seen
	Reason  string    // of a refusal: why, and what to do
}

// Publisher takes events. Publish returns when they are durable; on an error any of them may be. An error of kind
// Transient makes Run try again; any other ends it. Calls do not overlap.
type Publisher interface {
	Publish(ctx context.Context, events []Event) error
}

// Stats counts what one pass over the directory found.
type Stats struct {
	Files     int // files that the globs select, Refused among them
	Published int // new and changed files
	Deleted   int
	Refused   int // published as refused in this pass
	Unchanged int
}

// escape makes a name of the file system valid UTF-8.
func escape(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); {
		r, n := utf8.DecodeRuneInString(name[i:])
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, "%%%02X", name[i])
		} else {
			b.WriteString(name[i : i+n])
		}
		i += n
	}
	return b.String()
}
