package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/stream"
)

// readings bounds how often a file that changes under our eyes is read. The last reading is published, as unsettled:
// notifications or the next rescan bring what follows.
const readings = 3

// examine reads a file and says what is to be published of it; ok is false when it is gone.
func (t *tree) examine(doc, name, real string) (e Event, after entry, ok bool) {
	if !utf8.ValidString(name) {
		return t.refuse(doc, stamp{}, "the name is no UTF-8: rename the file")
	}
	var content []byte
	var s stamp
	var err error
	began := time.Now()
	for range readings {
		began = time.Now()
		var again bool
		content, s, again, err = t.read(real)
		if err != nil || !again {
			break
		}
	}
	switch {
	case err != nil && notThere(err):
		return e, after, false
	case errors.Is(err, errTooLarge):
		reason := fmt.Sprintf("%d bytes, more than max_bytes (%d): make it smaller or exclude it", s.Size, t.options.MaxBytes)
		return t.refuse(doc, s, reason)
	case err != nil:
		return t.refuse(doc, s, fmt.Sprintf("can't be read (%v): allow reading or exclude it", cause(err)))
	}
	e = Event{Path: doc, Op: Put, Content: content, Size: int64(len(content)), ModTime: time.Unix(0, s.Modified)}
	after = entry{Path: doc, Know: put, Stamp: s, Content: stream.FingerprintBytes(content), Settled: s.settled(began)}
	return e, after, true
}

func (t *tree) refuse(doc string, s stamp, reason string) (Event, entry, bool) {
	e := Event{Path: doc, Op: Refused, Size: s.Size, ModTime: time.Unix(0, s.Modified), Reason: reason}
	return e, entry{Path: doc, Know: refused, Stamp: s, Content: stream.FingerprintBytes([]byte(reason))}, true
}

// cause leaves out the path, which the event has already.
func cause(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

var errTooLarge = errors.New("too large")

// read returns a file's content and its stamp before reading; again says that it changed meanwhile.
func (t *tree) read(real string) (content []byte, s stamp, again bool, err error) {
	f, err := t.open(t.root, real)
	if err != nil {
		return nil, s, false, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, s, false, err
	}
	if s = stampOf(before); s.Size > t.options.MaxBytes {
		return nil, s, false, errTooLarge
	}
	content, err = io.ReadAll(io.LimitReader(f, t.options.MaxBytes+1))
	if err != nil {
		return nil, s, false, err
	}
	if int64(len(content)) > t.options.MaxBytes {
		s.Size = int64(len(content))
		return nil, s, false, errTooLarge
	}
	after, err := t.root.Stat(real) // by path: the file may have been replaced
	if err != nil {
		return nil, s, false, err
	}
	return content, s, stampOf(after) != s, nil
}

// openFile does not wait for a writer, should the file have become a pipe.
func openFile(root *os.Root, real string) (*os.File, error) {
	return root.OpenFile(real, os.O_RDONLY|nonBlocking, 0)
}
