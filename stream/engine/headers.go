package engine

import (
	"hash/maphash"

	"github.com/freshet-dev/freshet/stream"
)

// headerCache keeps recently used headers, at most cacheHeaders of them. Hundreds of thousands of small objects would keep the
// garbage collector busy, so a header lies here in one piece, and the maps hold no pointers. It is for one goroutine.
type headerCache struct {
	byID  map[digest]int32 // by digest of the document's ID: its place in held
	byKey map[uint64]int32 // by hash of the key of the record that note was called with last; such a document may be gone
	held  []cachedHeader
	free  []int32 // places in held
	names names
	seeds [2]maphash.Seed
}

type cachedHeader struct {
	packed []byte    // without its input; nil: the place is free
	quick  digest    // of the image that was last found to repeat the stored one; zero: none was
	begun  beginning // of the record that it was found in; valid while quick is
}

// beginning is what a record's value begins with, if that alone decides its image.
type beginning struct {
	bytes int // 0: it does not
	quick digest
}

// digest is a quick 128-bit hash, keyed by chance at each start, so that nobody can aim at a collision. It lives in memory
// only: what is stored and compared across processes is the fingerprint.
type digest [2]uint64

const cacheHeaders = 1 << 14

func newHeaderCache() *headerCache {
	return &headerCache{byID: map[digest]int32{}, byKey: map[uint64]int32{}, names: names{places: map[string]uint64{}},
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// of returns a document's entry, nil when there is none.
func (c *headerCache) of(id string) *cachedHeader {
	if n, ok := c.byID[c.digestOf(id)]; ok {
		return &c.held[n]
	}
	return nil
}

// get returns a header without its input.
func (c *headerCache) get(id string) (Header, bool) {
	if h := c.of(id); h != nil {
		return c.names.unpack(id, h.packed), true
	}
	return Header{}, false
}

func (c *headerCache) put(h Header) {
	id := c.digestOf(h.ID)
	n, ok := c.byID[id]
	if !ok {
		n = c.place()
		c.byID[id] = n
	}
	c.held[n] = cachedHeader{packed: c.names.pack(h)}
}

// place returns a free one, which it may take from any other header.
func (c *headerCache) place() int32 {
	if len(c.byID) >= cacheHeaders {
		for id, n := range c.byID { // any one: Go visits maps in random order
			c.remove(id, n)
			break
		}
	}
	if last := len(c.free) - 1; last >= 0 {
		n := c.free[last]
		c.free = c.free[:last]
		return n
	}
	c.held = append(c.held, cachedHeader{})
	return int32(len(c.held) - 1)
}

// remove leaves what byKey has: without a digest it repeats nothing, and the digest of another document there is of another key.
func (c *headerCache) remove(id digest, n int32) {
	delete(c.byID, id)
	c.held[n] = cachedHeader{}
	c.free = append(c.free, n)
}

// drop forgets a header.
func (c *headerCache) drop(id string) {
	d := c.digestOf(id)
	if n, ok := c.byID[d]; ok {
		c.remove(d, n)
	}
}

// touch forgets the image that was remembered for a document, which is about to change.
func (c *headerCache) touch(id string) {
	if h := c.of(id); h != nil {
		h.quick = digest{}
	}
}

func (c *headerCache) digest(b []byte) digest {
	return digest{maphash.Bytes(c.seeds[0], b), maphash.Bytes(c.seeds[1], b)}
}

func (c *headerCache) digestOf(s string) digest {
	return digest{maphash.String(c.seeds[0], s), maphash.String(c.seeds[1], s)}
}

// repeats reports whether the image is the one that was remembered for the document since its header last changed.
func (c *headerCache) repeats(id string, image []byte) bool {
	h := c.of(id)
	return h != nil && h.quick != digest{} && h.quick == c.digest(image)
}

// remember notes an image whose fingerprint is the stored one, to spare the fingerprint the next time.
func (c *headerCache) remember(id string, image []byte) {
	if h := c.of(id); h != nil {
		h.quick = c.digest(image)
	}
}

// sight is what note keeps of a record: a hash of its key, and digests of the key with the image and with the value's
// beginning. They cover the key, so that a document whose ID several keys give is found by the one that was noted.
type sight struct {
	key   uint64
	quick digest
	begun beginning
}

// sight is of a change's record.
func (c *headerCache) sight(of *stream.Change) sight {
	k := c.digest(of.Record.Key)
	s := sight{key: k[0], quick: k.with(c.digest(of.Image))}
	if of.Begins > 0 {
		s.begun = beginning{of.Begins, k.with(c.digest(of.Record.Value[:of.Begins]))}
	}
	return s
}

// begins reports whether a record, whose key alone names its document, begins as the one that was noted, so that it
// repeats the document's image unless rest, the bytes that follow, make it another kind of record.
func (c *headerCache) begins(key, value []byte) (rest []byte, ok bool) {
	k := c.digest(key)
	n, ok := c.byKey[k[0]]
	if !ok {
		return nil, false
	}
	h := &c.held[n]
	if h.quick == (digest{}) || h.begun.bytes == 0 || len(value) < h.begun.bytes {
		return nil, false
	}
	value, rest = value[:h.begun.bytes], value[h.begun.bytes:]
	return rest, h.begun.quick == k.with(c.digest(value))
}

// seen is repeats for such a record: it needs no document ID.
func (c *headerCache) seen(s sight) bool {
	n, ok := c.byKey[s.key]
	if !ok || c.held[n].quick == (digest{}) || c.held[n].quick != s.quick {
		return false
	}
	c.held[n].begun = s.begun
	return true
}

// note is remember for such a record.
func (c *headerCache) note(id string, s sight) {
	n, ok := c.byID[c.digestOf(id)]
	if !ok {
		return
	}
	if len(c.byKey) >= 2*cacheHeaders {
		clear(c.byKey)
	}
	c.held[n].quick, c.held[n].begun = s.quick, s.begun
	c.byKey[s.key] = n
}

// with combines the digests of two parts.
func (d digest) with(o digest) digest {
	const odd = 0x9e3779b97f4a7c15
	return digest{d[0]*odd ^ o[0], d[1]*odd ^ o[1]}
}
