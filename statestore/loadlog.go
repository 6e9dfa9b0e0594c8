package statestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
)

// valueLog writes value logs as Badger does, but with plain writes: Badger writes through mapped memory, where each page
// costs a fault, and waits for the disk at the end of each log. Here one goroutine syncs beside the writing.
//
// A log is a head, 8 bytes of an encryption key's number (0) and a vector of 12, then entries: mark, user's mark, lengths of key and
// value and time of expiry as varints, key with version, value, CRC-32C.
type valueLog struct {
	dir      string
	file     *os.File
	number   uint32 // of file
	end      uint32 // of what was appended
	buf      []byte // not written yet
	dead     map[uint32]uint64
	tasks    chan syncing
	finished bool
	synced   chan error // the syncing goroutine's end
}

// syncing is a task: what was written to a file goes to the disk, and the file is closed when it is complete.
type syncing struct {
	file     *os.File
	complete bool
}

const (
	logHead   = 20
	logBuffer = 128 << 10
)

// pointer is where a value lies.
type pointer struct{ log, length, offset uint32 }

// encode is as Badger reads it from memory.
func (p pointer) encode() []byte {
	b := make([]byte, 0, 12)
	for _, n := range []uint32{p.log, p.length, p.offset} {
		b = binary.NativeEndian.AppendUint32(b, n)
	}
	return b
}

// newValueLog begins after the logs that are there.
func newValueLog(dir string) (*valueLog, error) {
	w := &valueLog{dir: dir, dead: map[uint32]uint64{}, tasks: make(chan syncing), synced: make(chan error, 1)}
	there, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		return nil, err
	}
	for _, path := range there {
		var n uint32
		if _, err := fmt.Sscanf(filepath.Base(path), logName, &n); err != nil {
			return nil, fmt.Errorf("read the number of %s: %w", path, err)
		}
		w.number = max(w.number, n)
	}
	go func() {
		var err error
		for t := range w.tasks {
			err = errors.Join(err, syncFile(t.file))
			if t.complete {
				err = errors.Join(err, t.file.Close())
			}
		}
		w.synced <- err
	}()
	return w, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// append writes an entry's value, some time before finish.
func (w *valueLog) append(e Entry, version uint64) (p pointer, err error) {
	if w.file == nil {
		if err := w.begin(); err != nil {
			return p, err
		}
	}
	start := len(w.buf)
	w.buf = append(w.buf, 0, 0)
	w.buf = binary.AppendUvarint(w.buf, uint64(len(e.Key)+8))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(e.Value)))
	w.buf = append(w.buf, 0)
	w.buf = append(w.buf, e.Key...)
	w.buf = binary.BigEndian.AppendUint64(w.buf, math.MaxUint64-version)
	w.buf = append(w.buf, e.Value...)
	w.buf = binary.BigEndian.AppendUint32(w.buf, crc32.Checksum(w.buf[start:], castagnoli))
	p = pointer{log: w.number, length: uint32(len(w.buf) - start), offset: w.end}
	if w.end += p.length; w.end >= valueLogSize {
		return p, w.complete()
	}
	if len(w.buf) >= logBuffer {
		err = w.write()
	}
	return p, err
}

func (w *valueLog) begin() (err error) {
	w.number++
	if w.file, err = os.OpenFile(logPath(w.dir, w.number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	w.buf, w.end = append(w.buf[:0], make([]byte, logHead)...), logHead
	return nil
}

const logName = "%06d.vlog"

func logPath(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf(logName, number))
}

func (w *valueLog) write() error {
	_, err := w.file.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// flush writes what was appended and lets it go to the disk, unless an earlier part is still on its way.
func (w *valueLog) flush() error {
	if w.file == nil {
		return nil
	}
	if err := w.write(); err != nil {
		return err
	}
	select {
	case w.tasks <- syncing{file: w.file}:
	default:
	}
	return nil
}

// complete ends a log.
func (w *valueLog) complete() error {
	err := w.write()
	w.tasks <- syncing{w.file, true}
	w.file = nil
	return err
}

// finish returns when all is on the disk, but for the logs' names. Nothing may be appended later; repeating it does nothing.
func (w *valueLog) finish() (err error) {
	if w.finished {
		return nil
	}
	w.finished = true
	if w.file != nil {
		err = w.complete()
	}
	close(w.tasks)
	return errors.Join(err, <-w.synced)
}

// addDead counts bytes of value logs as dead, in Badger's file; nobody has the database open.
func addDead(data string, dead map[uint32]uint64) error {
	delete(dead, 0) // no log
	if len(dead) == 0 {
		return nil
	}
	path := filepath.Join(data, deadFile)
	counts, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for log, n := range deadBytes(counts) {
		dead[log] += n
	}
	var b []byte
	for _, log := range slices.Sorted(maps.Keys(dead)) {
		b = binary.BigEndian.AppendUint64(b, uint64(log))
		b = binary.BigEndian.AppendUint64(b, dead[log])
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0) // what follows is zero, the end
	return errors.Join(err, syncFile(f), f.Close())
}
