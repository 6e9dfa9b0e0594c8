package engine

import "hash/maphash"

// headerCache keeps recently used headers, at most cacheHeaders of them.
type headerCache struct {
	byID  map[string]*cachedHeader
	byKey map[uint64]*cachedHeader // by hash of the key of the record that note was called with last
	seeds [2]maphash.Seed
}

type cachedHeader struct {
	quick digest // of the image that was last found to repeat the stored one; zero: none was
	Header
}

// digest is a quick 128-bit hash, keyed by chance at each start, so that nobody can aim at a collision. It lives in memory
// only: what is stored and compared across processes is the fingerprint.
type digest [2]uint64

const cacheHeaders = 1 << 14

func newHeaderCache() *headerCache {
	return &headerCache{byID: map[string]*cachedHeader{}, byKey: map[uint64]*cachedHeader{},
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

func (c *headerCache) get(id string) (Header, bool) {
	if h := c.byID[id]; h != nil {
		return h.Header, true
	}
	return Header{}, false
}

func (c *headerCache) put(h Header) {
	if held := c.byID[h.ID]; held != nil {
		held.Header, held.quick = h, digest{}
		return
	}
	if len(c.byID) >= cacheHeaders {
		for k := range c.byID { // any one: Go visits maps in random order
			c.drop(k)
			break
		}
	}
	c.byID[h.ID] = &cachedHeader{Header: h}
}

// drop forgets a header. byKey may still lead to it: without a digest it repeats nothing.
func (c *headerCache) drop(id string) {
	c.touch(id)
	delete(c.byID, id)
}

// touch forgets the image that was remembered for a document, which is about to change.
func (c *headerCache) touch(id string) {
	if h := c.byID[id]; h != nil {
		h.quick = digest{}
	}
}

func (c *headerCache) digest(b []byte) digest {
	return digest{maphash.Bytes(c.seeds[0], b), maphash.Bytes(c.seeds[1], b)}
}

// repeats reports whether the image is the one that was remembered for the document since its header last changed.
func (c *headerCache) repeats(id string, image []byte) bool {
	h := c.byID[id]
	return h != nil && h.quick != digest{} && h.quick == c.digest(image)
}

// remember notes an image whose fingerprint is the stored one, to spare the fingerprint the next time.
func (c *headerCache) remember(id string, image []byte) {
	if h := c.byID[id]; h != nil {
		h.quick = c.digest(image)
	}
}

// seen is repeats for a record whose key alone names its document: it needs no document ID. The digest covers the key, so
// that a document whose ID several keys give is found by the one that was noted.
func (c *headerCache) seen(key, image []byte) bool {
	s := c.sight(key, image)
	h := c.byKey[s.key]
	return h != nil && h.quick != digest{} && h.quick == s.quick
}

// sight is what note keeps of a record: a hash of its key, and the digest of key and image.
type sight struct {
	key   uint64
	quick digest
}

func (c *headerCache) sight(key, image []byte) sight {
	k := c.digest(key)
	return sight{k[0], k.with(c.digest(image))}
}

// note is remember for such a record.
func (c *headerCache) note(id string, s sight) {
	h := c.byID[id]
	if h == nil {
		return
	}
	if len(c.byKey) >= 2*cacheHeaders {
		clear(c.byKey)
	}
	h.quick, c.byKey[s.key] = s.quick, h
}

// with combines the digests of two parts.
func (d digest) with(o digest) digest {
	const odd = 0x9e3779b97f4a7c15
	return digest{d[0]*odd ^ o[0], d[1]*odd ^ o[1]}
}
