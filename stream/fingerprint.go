package stream

import (
	"encoding/hex"
	"sync"

	"github.com/zeebo/blake3"
)

// Fingerprint is a 128-bit hash of canonical bytes: BLAKE3, truncated.
type Fingerprint [16]byte

// FingerprintBytes hashes raw bytes.
func FingerprintBytes(b []byte) Fingerprint {
	sum := blake3.Sum256(b)
	return Fingerprint(sum[:16])
}

// scratch holds buffers for encodings that are only hashed; larger ones than keepScratch are left to the collector.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const keepScratch = 64 << 10

// FingerprintOf hashes a value's canonical encoding.
func FingerprintOf(v Value) Fingerprint {
	b := scratch.Get().(*[]byte)
	*b = AppendValue((*b)[:0], v)
	return hashed(b)
}

// FingerprintOfList hashes the canonical encoding of the list of items, which it does not make.
func FingerprintOfList(items ...Value) Fingerprint {
	b := scratch.Get().(*[]byte)
	*b = appendItems((*b)[:0], items)
	return hashed(b)
}

// hashed hashes a buffer and gives it back.
func hashed(b *[]byte) Fingerprint {
	f := FingerprintBytes(*b)
	if cap(*b) <= keepScratch {
		scratch.Put(b)
	}
	return f
}

// String returns the fingerprint as 32 hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// IsZero reports whether f was never set.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }
