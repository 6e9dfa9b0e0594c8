package files

import (
	"io/fs"
	"time"
)

// stamp is what the file system says of a file's state without reading it.
type stamp struct {
	Size     int64  `cbor:"1,keyasint,omitempty"`
	Modified int64  `cbor:"2,keyasint,omitempty"` // ns since 1970
	Changed  int64  `cbor:"3,keyasint,omitempty"` // ctime, which no program can set back; 0: unknown
	Inode    uint64 `cbor:"4,keyasint,omitempty"`
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{Size: info.Size(), Modified: info.ModTime().UnixNano()}
	s.Changed, s.Inode = changed(info)
	return s
}

// granularity is how far apart two writes must be for every file system to give them different times.
const granularity = 2 * time.Second

// settled reports whether an equal stamp seen later proves equal content: a write in the same tick of the file
// system's clock as the one that we read would leave the stamp as it is.
func (s stamp) settled(read time.Time) bool {
	limit := read.Add(-granularity).UnixNano()
	return s.Changed != 0 && s.Changed < limit && s.Modified < limit
}
