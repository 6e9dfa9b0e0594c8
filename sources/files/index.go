package files

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"

	"github.com/freshet-dev/freshet/stream"
)

// knowledge is what the index knows of a path.
type knowledge uint8

const (
	unsure  knowledge = iota // something may have been published
	put                      // a Put was published last
	refused                  // a Refused was published last
	gone                     // a Delete was published last: the path is forgotten
)

// entry is what was published of one file.
type entry struct {
	Path     string             `cbor:"1,keyasint"`
	Know     knowledge          `cbor:"2,keyasint,omitempty"`
	Stamp    stamp              `cbor:"3,keyasint,omitempty"`
	Content  stream.Fingerprint `cbor:"4,keyasint,omitempty"` // of the content, or of the reason of a refusal
	Settled  bool               `cbor:"5,keyasint,omitempty"` // an equal stamp proves equal content
	Identity string             `cbor:"6,keyasint,omitempty"` // in the first entry of a file only
}

// index remembers, in memory and in a file, what was published. The file is a sequence of CBOR byte strings, each an
// entry with its checksum; a later one of a path replaces an earlier one. It is written anew when most of it is outdated.
type index struct {
	path     string
	identity string
	known    map[string]entry
	file     *os.File
	written  int // entries in the file
}

func openIndex(path, identity string) (*index, error) {
	x := &index{path: path, identity: identity, known: map[string]entry{}}
	if err := x.load(); err != nil {
		return nil, x.failed("read", err)
	}
	if err := x.rewrite(); err != nil {
		return nil, x.failed("write", err)
	}
	return x, nil
}

func (x *index) failed(what string, err error) error {
	return &stream.Error{Op: what + " the index of published files " + x.path, Kind: stream.Internal, Err: err}
}

// load reads the file up to its end, or up to an entry that a crash cut short.
func (x *index) load() error {
	f, err := os.Open(x.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	d := cbor.NewDecoder(bufio.NewReader(f))
	first, ok, err := decode(d)
	if !ok || first.Identity != x.identity {
		return err // of something else: everything is published again
	}
	for {
		e, ok, err := decode(d)
		if !ok {
			return err
		}
		x.keep(e)
	}
}

// decode reads the next entry; ok is false at the end and before an entry that is not whole. Only a file that can't be
// read is an error.
func decode(d *cbor.Decoder) (e entry, ok bool, err error) {
	var b []byte
	if err := d.Decode(&b); err != nil {
		if unreadable := (*fs.PathError)(nil); errors.As(err, &unreadable) {
			return e, false, err
		}
		return e, false, nil
	}
	n := len(b) - crc32.Size
	if n < 0 || crc32.Checksum(b[:n], castagnoli) != binary.BigEndian.Uint32(b[n:]) {
		return e, false, nil
	}
	return e, stream.Unmarshal(b[:n], &e) == nil, nil
}

func encode(w io.Writer, e entry) error {
	b, err := stream.Marshal(e)
	if err != nil {
		return err
	}
	b, err = stream.Marshal(binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)))
	if err == nil {
		_, err = w.Write(b)
	}
	return err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (x *index) keep(e entry) {
	if e.Know == gone {
		delete(x.known, e.Path)
	} else {
		x.known[e.Path] = e
	}
}

// rewrite replaces the file, durably and whole, by one of only the living entries.
func (x *index) rewrite() error {
	f, err := os.Create(x.path + ".new")
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = encode(w, entry{Identity: x.identity})
	for _, e := range x.known {
		err = errors.Join(err, encode(w, e))
	}
	err = errors.Join(err, w.Flush(), f.Sync(), os.Rename(x.path+".new", x.path), syncDir(filepath.Dir(x.path)))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	old := x.file
	x.file, x.written = f, len(x.known)
	if old != nil {
		return old.Close()
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// doubt forgets durably what is known of the events' paths, before they are published. Were the old knowledge kept, a
// crash after the publication and a return to the old content would leave the published one standing.
func (x *index) doubt(entries []entry) error {
	w := bufio.NewWriter(x.file)
	for _, e := range entries {
		e = entry{Path: e.Path}
		x.keep(e)
		x.written++
		if err := encode(w, e); err != nil {
			return x.failed("write", err)
		}
	}
	if err := errors.Join(w.Flush(), x.file.Sync()); err != nil {
		return x.failed("write", err)
	}
	return nil
}

// record notes what was published. It need not be durable: doubt is, and republishes.
func (x *index) record(entries ...entry) error {
	w := bufio.NewWriter(x.file)
	for _, e := range entries {
		x.keep(e)
		x.written++
		if err := encode(w, e); err != nil {
			return x.failed("write", err)
		}
	}
	err := w.Flush()
	if err == nil && x.written > 1000+4*len(x.known) {
		err = x.rewrite()
	}
	if err != nil {
		return x.failed("write", err)
	}
	return nil
}

func (x *index) close() error { return x.file.Close() }
