package engine

import (
	"encoding/binary"

	"github.com/freshet-dev/freshet/stream"
)

// names are those of topics and tables, which packed headers say by number.
type names struct {
	all    []string
	places map[string]uint64 // in all
}

func (s *names) number(name string) uint64 {
	n, ok := s.places[name]
	if !ok {
		n = uint64(len(s.all))
		s.all = append(s.all, name)
		s.places[name] = n
	}
	return n
}

// pack encodes a header without its ID and its input, for this process only.
func (s *names) pack(h Header) []byte {
	size := 4*len(stream.Fingerprint{}) + 96 + len(h.Position.Source) + len(h.Reason)
	for _, r := range h.Few {
		size += len(stream.Fingerprint{}) + 8 + len(r.Key)
	}
	b := make([]byte, 0, size)
	for _, f := range [...]stream.Fingerprint{h.Image, h.Input, h.ReadSet, h.Logic} {
		b = append(b, f[:]...)
	}
	b = append(b, byte(h.Status))
	for _, n := range [...]int64{int64(h.Parts), int64(h.InputBytes), int64(h.Rows), int64(h.Memos), h.Open, int64(h.size)} {
		b = binary.AppendVarint(b, n)
	}
	b = appendText(b, h.Reason)
	b = s.packPosition(b, &h.Position)
	if h.Failed == nil {
		b = append(b, 0)
	} else {
		b = s.packPosition(append(b, 1), h.Failed)
	}
	b = packParked(b, h.Parked)
	b = binary.AppendUvarint(b, uint64(len(h.Few)))
	for _, r := range h.Few {
		b = binary.AppendUvarint(b, s.number(r.Table))
		b = append(appendText(b, r.Key), r.Fingerprint[:]...)
	}
	return b
}

func packParked(b []byte, k *Parked) []byte {
	if k == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	for _, n := range [...]int64{k.Due, int64(k.Times), int64(k.Attempts)} {
		b = binary.AppendVarint(b, n)
	}
	return appendText(appendText(b, k.Reason), k.Node)
}

func (s *names) packPosition(b []byte, p *stream.Position) []byte {
	b = binary.AppendUvarint(b, s.number(p.Topic))
	for _, n := range [...]int64{int64(p.Partition), p.Offset, p.Time} {
		b = binary.AppendVarint(b, n)
	}
	return appendText(b, p.Source)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// unpack is the inverse of pack.
func (s *names) unpack(id string, b []byte) Header {
	r := unpacking{s, b}
	h := Header{ID: id}
	for _, f := range [...]*stream.Fingerprint{&h.Image, &h.Input, &h.ReadSet, &h.Logic} {
		r.fingerprint(f)
	}
	h.Status = Status(r.take(1)[0])
	h.Parts, h.InputBytes, h.Rows, h.Memos, h.Open, h.size = int(r.int()), int(r.int()), int(r.int()), int(r.int()), r.int(), int(r.int())
	h.Reason = r.text()
	h.Position = r.position()
	if r.take(1)[0] == 1 {
		p := r.position()
		h.Failed = &p
	}
	h.Parked = r.parked()
	if n := r.uint(); n > 0 {
		h.Few = make([]emittedRow, n)
		for i := range h.Few {
			row := &h.Few[i]
			row.Table, row.Key = r.name(), r.text()
			r.fingerprint(&row.Fingerprint)
		}
	}
	return h
}

// unpacking reads a packed header, which is whole.
type unpacking struct {
	names *names
	left  []byte
}

func (r *unpacking) take(n int) []byte {
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

func (r *unpacking) fingerprint(f *stream.Fingerprint) { copy(f[:], r.take(len(f))) }

func (r *unpacking) int() int64 {
	v, n := binary.Varint(r.left)
	r.left = r.left[n:]
	return v
}

func (r *unpacking) uint() uint64 {
	v, n := binary.Uvarint(r.left)
	r.left = r.left[n:]
	return v
}

func (r *unpacking) text() string { return string(r.take(int(r.uint()))) }

func (r *unpacking) name() string { return r.names.all[r.uint()] }

func (r *unpacking) parked() *Parked {
	if r.take(1)[0] == 0 {
		return nil
	}
	return &Parked{Due: r.int(), Times: int(r.int()), Attempts: int(r.int()), Reason: r.text(), Node: r.text()}
}

func (r *unpacking) position() stream.Position {
	p := stream.Position{Topic: r.name(), Partition: int32(r.int()), Offset: r.int(), Time: r.int()}
	p.Source = r.text()
	return p
}
