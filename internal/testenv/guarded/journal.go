package guarded

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/freshet-dev/freshet/stream"
)

// journal is the log of a store's mutations: length, checksum and call, one after the other. The last one may be torn.
type journal struct {
	file *os.File
	err  error // once writing failed, nothing is certain any more
}

const frame = 8

// OpenStore opens the store that a file keeps, creating it when it is absent. It is durable against kill -9 and against
// power loss as far as fsync is.
func OpenStore(path string) (*Store, error) {
	s := NewStore()
	if err := s.load(path); err != nil {
		return nil, fmt.Errorf("guarded store %s: %w", path, err)
	}
	return s, nil
}

func (s *Store) load(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for len(b) >= frame {
		size := int(binary.LittleEndian.Uint32(b))
		if len(b) < frame+size || crc32.ChecksumIEEE(b[frame:frame+size]) != binary.LittleEndian.Uint32(b[4:]) {
			break // it was being written, and nobody was told that it is
		}
		var c Call
		if err := stream.Unmarshal(b[frame:frame+size], &c); err != nil {
			return err
		}
		s.state.do(c)
		b = b[frame+size:]
	}
	return s.rewrite(path)
}

// rewrite starts a new log with the state as it is, so that the log does not grow over restarts.
func (s *Store) rewrite(path string) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	s.log = &journal{file: f}
	if err := s.log.append(Call{Op: OpRestore, Backup: s.state.do(Call{Op: OpBackup}).Backup}); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// append makes a call durable. On nil it does nothing.
func (j *journal) append(c Call) error {
	if j == nil || j.err != nil {
		if j == nil {
			return nil
		}
		return j.err
	}
	body, err := stream.Marshal(c)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, frame+len(body)), uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(body))
	if _, j.err = j.file.Write(append(b, body...)); j.err == nil {
		j.err = j.file.Sync()
	}
	return j.err
}

// Close ends the log.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.log == nil {
		return nil
	}
	err := s.log.file.Close()
	s.log.err = os.ErrClosed
	return err
}
