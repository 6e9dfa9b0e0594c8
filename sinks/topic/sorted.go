package topic

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// chunkBytes is what a sorter keeps in memory; tests lower it.
var chunkBytes = 32 << 20

// sorter puts entries in order, and keeps the last of each (table, document, key, partition) by offset. What exceeds a chunk
// is sorted on disk, in files without a name.
type sorter struct {
	limit int // bytes of a chunk
	chunk []entry
	size  int
	runs  []*os.File
}

func newSorter() *sorter { return &sorter{limit: chunkBytes} }

func (s *sorter) add(e entry) error {
	s.chunk = append(s.chunk, e)
	if s.size += e.size(); s.size < s.limit {
		return nil
	}
	return s.spill()
}

// settle sorts the chunk, and drops what a later entry replaces.
func (s *sorter) settle() {
	slices.SortFunc(s.chunk, func(a, b entry) int { return a.compare(&b) })
	kept := s.chunk[:0]
	for _, e := range s.chunk {
		if n := len(kept); n > 0 && kept[n-1].compareRow(&e) == 0 && kept[n-1].Partition == e.Partition {
			kept[n-1] = e
			continue
		}
		kept = append(kept, e)
	}
	clear(s.chunk[len(kept):])
	s.chunk = kept
}

func (s *sorter) spill() error {
	s.settle()
	f, err := os.CreateTemp("", "freshet-sort-")
	if err != nil {
		return err
	}
	s.runs = append(s.runs, f)
	_ = os.Remove(f.Name()) // it goes away with the file; where that can't be, close removes it
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range s.chunk {
		b, err := stream.Marshal(&s.chunk[i])
		if err == nil {
			_, err = w.Write(binary.AppendUvarint(nil, uint64(len(b))))
		}
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			return err
		}
	}
	s.chunk, s.size = nil, 0
	return w.Flush()
}

// close removes what lies on disk.
func (s *sorter) close() {
	for _, f := range s.runs {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	s.runs, s.chunk = nil, nil
}

// all returns the entries in order. It may be called once.
func (s *sorter) all() iter.Seq2[*entry, error] {
	return func(yield func(*entry, error) bool) {
		merged, err := s.merge()
		if err != nil {
			yield(nil, err)
			return
		}
		var last *entry
		for len(merged) > 0 {
			e, err := merged.pop()
			if err != nil {
				yield(nil, err)
				return
			}
			if last != nil && (last.compareRow(e) != 0 || last.Partition != e.Partition) && !yield(last, nil) {
				return
			}
			last = e
		}
		if last != nil {
			yield(last, nil)
		}
	}
}

// merge begins to read all runs, the chunk in memory among them.
func (s *sorter) merge() (runs, error) {
	s.settle()
	var all runs
	if len(s.chunk) > 0 {
		left := s.chunk
		all = append(all, &run{next: func() (*entry, error) {
			if len(left) == 0 {
				return nil, io.EOF
			}
			e := &left[0]
			left = left[1:]
			return e, nil
		}})
	}
	for _, f := range s.runs {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		in := bufio.NewReaderSize(f, 256<<10)
		all = append(all, &run{next: func() (*entry, error) { return readEntry(in) }})
	}
	for _, r := range all {
		var err error
		if r.head, err = r.next(); err != nil {
			return nil, err
		}
	}
	heap.Init(&all)
	return all, nil
}

func readEntry(in *bufio.Reader) (*entry, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		return nil, cmp.Or(io.ErrUnexpectedEOF, err)
	}
	e := &entry{}
	return e, stream.Unmarshal(b, e)
}

// run is a sorted part; runs is a heap of them by their next entry.
type run struct {
	head *entry
	next func() (*entry, error)
}

type runs []*run

// Len implements heap.Interface.
func (r runs) Len() int { return len(r) }

// Less implements heap.Interface.
func (r runs) Less(i, j int) bool { return r[i].head.compare(r[j].head) < 0 }

// Swap implements heap.Interface.
func (r runs) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *runs) Push(x any) { *r = append(*r, x.(*run)) }

// Pop implements heap.Interface.
func (r *runs) Pop() any {
	old := *r
	last := old[len(old)-1]
	*r = old[:len(old)-1]
	return last
}

// pop returns the least entry.
func (r *runs) pop() (*entry, error) {
	first := (*r)[0]
	e := first.head
	var err error
	if first.head, err = first.next(); errors.Is(err, io.EOF) {
		heap.Pop(r)
		return e, nil
	}
	if err == nil {
		heap.Fix(r, 0)
	}
	return e, err
}
