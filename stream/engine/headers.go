package engine

import "hash/maphash"

// headerCache keeps recently used headers, at most cacheHeaders of them.
type headerCache struct {
	byID  map[string]*cachedHeader
	seeds [2]maphash.Seed
}

type cachedHeader struct {
	Header
	quick digest // of the image that was last found to repeat the stored one; zero: none was
}

// digest is a quick 128-bit hash, keyed by chance at each start, so that nobody can aim at a collision. It lives in memory
// only: what is stored and compared across processes is the fingerprint.
type digest [2]uint64

const cacheHeaders = 1 << 14

func newHeaderCache() *headerCache {
	return &headerCache{byID: map[string]*cachedHeader{}, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

func (c *headerCache) get(id string) (Header, bool) {
	if h := c.byID[id]; h != nil {
		return h.Header, true
	}
	return Header{}, false
}

func (c *headerCache) put(h Header) {
	if len(c.byID) >= cacheHeaders {
		for k := range c.byID { // any one: Go visits maps in random order
			delete(c.byID, k)
			break
		}
	}
	c.byID[h.ID] = &cachedHeader{Header: h}
}

func (c *headerCache) drop(id string) { delete(c.byID, id) }

func (c *headerCache) digest(image []byte) digest {
	return digest{maphash.Bytes(c.seeds[0], image), maphash.Bytes(c.seeds[1], image)}
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
