package powerloss

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
)

const pageSize = 4096

// page is what a disk writes as one; nil is a page of zeros, which most of Badger's mapped logs are.
type page = *[pageSize]byte

// inode is a file's content, whatever its name. Pages that did not change are shared between images.
type inode struct {
	size  int64
	pages []page
}

// disk follows a directory: what it holds now, as a program sees it, and what was synced. Names and contents are apart, as
// on a disk: a name is durable when its directory was synced, content and size when the file was.
type disk struct {
	dir    string
	now    map[string]uint64 // name → inode number
	inodes map[uint64]inode  // contents now, or when they were last seen
	// held are the inodes, open. A file system may give a removed file's number to the next one; no disk gives a name the content that
	// another file had, since a journal frees an inode and its blocks only with the removal. While a file is open its number is its own.
	held    map[uint64]*os.File
	durable struct {
		names  map[string]uint64
		inodes map[uint64]inode
	}
}

// newDisk takes what lies in dir for durable.
func newDisk(dir string) (*disk, error) {
	d := &disk{dir: dir, inodes: map[uint64]inode{}, held: map[uint64]*os.File{}}
	d.durable.inodes, d.durable.names = map[uint64]inode{}, map[string]uint64{}
	if err := d.look(); err != nil {
		return nil, err
	}
	for name, i := range d.now {
		d.durable.names[name], d.durable.inodes[i] = i, d.inodes[i]
	}
	return d, nil
}

func (d *disk) close() {
	for _, f := range d.held {
		_ = f.Close() // it was only read
	}
}

// look reads the directory as it is.
func (d *disk) look() error {
	found, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.now = map[string]uint64{}
	for _, f := range found {
		if err := d.read(f.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	there := map[uint64]bool{}
	for _, i := range d.now {
		there[i] = true
	}
	for i := range d.inodes {
		if !there[i] {
			d.inodes[i] = inode{} // Badger empties a file before it removes it
		}
	}
	return nil
}

func (d *disk) read(name string) error {
	f, err := os.Open(filepath.Join(d.dir, name))
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	number := info.Sys().(*syscall.Stat_t).Ino
	if d.held[number] == nil {
		d.held[number] = f
	} else {
		defer f.Close()
	}
	d.now[name] = number
	old, known := d.inodes[number]
	if known && strings.HasSuffix(name, ".sst") && d.durable.inodes[number].size == info.Size() && old.size == info.Size() {
		return nil // a table is written once
	}
	d.inodes[number], err = contents(f, info.Size(), old)
	return err
}

// contents reads the parts of a file that are no holes.
func contents(f *os.File, size int64, old inode) (inode, error) {
	const seekData, seekHole = 3, 4
	in := inode{size: size, pages: make([]page, (size+pageSize-1)/pageSize)}
	buf := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		from, err := f.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			break
		}
		if err != nil {
			return in, err
		}
		to, err := f.Seek(from, seekHole)
		if err != nil {
			return in, err
		}
		from = from / pageSize * pageSize
		for ; from < to; from += int64(len(buf)) {
			n, err := f.ReadAt(buf[:min(int64(len(buf)), to-from)], from)
			if n == 0 && err != nil {
				break // it was cut shorter meanwhile
			}
			in.put(from, buf[:n], old)
		}
		at = to
	}
	return in, nil
}

var zeros [pageSize]byte

// put takes pages in, those that are as before without a copy.
func (in *inode) put(at int64, b []byte, old inode) {
	for i := int(at / pageSize); len(b) > 0 && i < len(in.pages); i++ {
		var p [pageSize]byte
		b = b[copy(p[:], b):]
		switch {
		case p == zeros:
		case i < len(old.pages) && old.pages[i] != nil && *old.pages[i] == p:
			in.pages[i] = old.pages[i]
		default:
			in.pages[i] = &p
		}
	}
}

// synced makes durable what a sync of path makes: a file's content and size, or a directory's names.
func (d *disk) synced(path string) {
	if filepath.Clean(path) == filepath.Clean(d.dir) {
		d.durable.names = map[string]uint64{}
		for name, i := range d.now {
			d.durable.names[name] = i
		}
		return
	}
	if i, ok := d.now[filepath.Base(path)]; ok {
		d.durable.inodes[i] = d.inodes[i]
	}
}

// loss says what becomes of what was not synced.
type loss int

const (
	allLost loss = iota
	allKept      // as by kill -9
	pagesBy      // pages and sizes by chance; names all or none, as a journal keeps their order
	allBy        // names by chance too, each by itself
	losses
)

func (l loss) String() string {
	return [...]string{"all unsynced lost", "all kept", "pages by chance", "pages and names by chance"}[l]
}

// cut writes the directory that the disk holds after a power loss now.
func (d *disk) cut(to string, l loss, r *rand.Rand) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	keepNames := r.IntN(2) == 0
	names := map[string]bool{}
	for name := range d.now {
		names[name] = true
	}
	for name := range d.durable.names {
		names[name] = true
	}
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	sort.Strings(sorted)
	for _, name := range sorted {
		i, ok := d.named(name, l, keepNames, r)
		if !ok {
			continue
		}
		if err := d.survivor(i, l, r).write(filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// named is the inode that a name leads to after the loss.
func (d *disk) named(name string, l loss, keep bool, r *rand.Rand) (i uint64, ok bool) {
	if l == allKept || l == pagesBy && keep || l == allBy && r.IntN(2) == 0 {
		i, ok = d.now[name]
		return i, ok
	}
	i, ok = d.durable.names[name]
	return i, ok
}

// survivor is a file's content after the loss.
func (d *disk) survivor(number uint64, l loss, r *rand.Rand) inode {
	held, now := d.durable.inodes[number], d.inodes[number]
	switch l {
	case allLost:
		return held
	case allKept:
		return now
	}
	size := held.size
	if r.IntN(2) == 0 {
		size = now.size
	}
	mixed := inode{size: size, pages: make([]page, (size+pageSize-1)/pageSize)}
	for i := range mixed.pages {
		a, b := held.at(i), now.at(i)
		// Beyond the size that the file has now nothing was written: where the cut of its end is lost, its pages are as they were.
		cutOff := int64(i)*pageSize >= now.size
		if mixed.pages[i] = a; a != b && !cutOff && r.IntN(2) == 0 {
			mixed.pages[i] = b
		}
	}
	return mixed
}

func (in inode) at(i int) page {
	if i < len(in.pages) {
		return in.pages[i]
	}
	return nil
}

func (in inode) write(path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(in.size); err != nil {
		return err
	}
	for i, p := range in.pages {
		if p == nil {
			continue
		}
		at := int64(i) * pageSize
		if _, err := f.WriteAt(p[:min(pageSize, in.size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// unsynced counts the names and pages that a cut decides about.
func (d *disk) unsynced() (n int) {
	for name, i := range d.now {
		if d.durable.names[name] != i {
			n++
		}
		held, now := d.durable.inodes[i], d.inodes[i]
		for p := range max(len(held.pages), len(now.pages)) {
			if held.at(p) != now.at(p) {
				n++
			}
		}
	}
	return n
}
