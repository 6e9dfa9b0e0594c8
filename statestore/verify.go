package statestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
	badgeroptions "github.com/dgraph-io/badger/v4/options"
	sst "github.com/dgraph-io/badger/v4/table"
)

// errDamaged marks data that is not what was written.
var errDamaged = errors.New("the local state is damaged")

func damaged(file, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s", errDamaged, file, fmt.Sprintf(format, args...))
}

// verify reads the database's files before Badger does. Badger itself ends the process over a table that was cut short,
// goes on without a table whose checksum is wrong, and takes a manifest's torn end for its end: each is a state that nobody
// wrote (docs/decisions/013).
func verify(data string, o badger.Options) error {
	if err := openable(data); err != nil {
		return err
	}
	manifest, err := readManifest(data, o)
	if err != nil || manifest == nil {
		return err
	}
	var group sync.WaitGroup
	room := make(chan struct{}, 2) // tables in memory at a time
	failed := make(chan error, len(manifest.Tables))
	for id, t := range manifest.Tables {
		group.Go(func() {
			room <- struct{}{}
			failed <- verifyTable(sst.NewFilename(id, data), id, t.Compression)
			<-room
		})
	}
	group.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return err
}

// openable finds files that can't be opened, over some of which Badger ends the process.
func openable(data string) error {
	found, err := os.ReadDir(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range found {
		opened, err := os.OpenFile(filepath.Join(data, f.Name()), os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("%w: %s can't be opened: %w", errDamaged, f.Name(), err)
		}
		if ext := filepath.Ext(f.Name()); ext == ".vlog" || ext == ".mem" {
			err = verifyLog(opened)
		}
		if err := errors.Join(err, opened.Close()); err != nil {
			return err
		}
	}
	return nil
}

// verifyLog checks the head of a log: the number of an encryption key, which is 0, and a random vector. A log without a
// whole head holds nothing.
func verifyLog(f *os.File) error {
	var key [8]byte
	if n, _ := f.ReadAt(key[:], 0); n == len(key) && key != [8]byte{} {
		return damaged(filepath.Base(f.Name()), "begins with garbage")
	}
	return nil
}

// readManifest returns nil when there is no database yet.
func readManifest(data string, o badger.Options) (*badger.Manifest, error) {
	path := filepath.Join(data, badger.ManifestFilename)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nothingElse(data)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, end, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err != nil {
		return nil, damaged(badger.ManifestFilename, "can't be read: %v", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != end {
		return nil, damaged(badger.ManifestFilename, "ends in a torn entry, at byte %d of %d", end, info.Size())
	}
	return &m, nil
}

// nothingElse refuses files of a database that has no manifest.
func nothingElse(data string) error {
	found, err := os.ReadDir(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range found {
		if ext := filepath.Ext(f.Name()); ext == ".sst" || ext == ".mem" {
			return damaged(badger.ManifestFilename, "is missing, but there is %s", f.Name())
		}
	}
	return nil
}

// verifyTable checks a table's index and all of its blocks.
func verifyTable(path string, id uint64, compression badgeroptions.CompressionType) (err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return damaged(filepath.Base(path), "can't be read: %v", err)
	}
	if err := verifyFooter(b); err != nil {
		return damaged(filepath.Base(path), "%v", err)
	}
	defer func() {
		if r := recover(); r != nil { // Badger looks into a block before it knows that the block is sound
			err = damaged(filepath.Base(path), "has a block that makes no sense: %.100v", r)
		}
	}()
	t, err := sst.OpenInMemoryTable(b, id, &sst.Options{Compression: compression, BlockSize: 4 << 10})
	if err == nil {
		err = t.VerifyChecksum()
	}
	if err != nil {
		return damaged(filepath.Base(path), "is not what was written: %v", err)
	}
	return nil
}

// verifyFooter checks the end of a table, which says where its index lies: index, its length, checksum, its length.
func verifyFooter(b []byte) error {
	checksum, rest, err := lastPart(b)
	if err != nil {
		return err
	}
	index, _, err := lastPart(rest)
	if err != nil {
		return err
	}
	if want, ok := crcOf(checksum); !ok || want != uint64(crc32.Checksum(index, crc32.MakeTable(crc32.Castagnoli))) {
		return errors.New("has an index that is not what was written")
	}
	return nil
}

// lastPart takes a part with its length behind it off the end.
func lastPart(b []byte) (part, rest []byte, err error) {
	const length = 4
	if len(b) >= length {
		if n := int64(binary.BigEndian.Uint32(b[len(b)-length:])); n <= int64(len(b)-length) {
			end := len(b) - length
			return b[end-int(n) : end], b[:end-int(n)], nil
		}
	}
	return nil, nil, errors.New("was cut short")
}

// crcOf reads Badger's checksum message: field 1, the algorithm, is CRC-32C, hence absent; field 2 is the sum.
func crcOf(message []byte) (uint64, bool) {
	const sum = 2 << 3 // a varint
	if len(message) < 2 || message[0] != sum {
		return 0, false
	}
	n, read := binary.Uvarint(message[1:])
	return n, read == len(message)-1
}
