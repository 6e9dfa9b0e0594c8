package stream

import (
	"encoding/hex"

	"github.com/zeebo/blake3"
)

// Fingerprint is a 128-bit hash of canonical bytes: BLAKE3, truncated.
type Fingerprint [16]byte

// FingerprintBytes hashes raw bytes.
func FingerprintBytes(b []byte) Fingerprint {
	sum := blake3.Sum256(b)
	return Fingerprint(sum[:16])
}

// FingerprintOf hashes a value's canonical encoding.
func FingerprintOf(v Value) Fingerprint { return FingerprintBytes(AppendValue(nil, v)) }

// String returns the fingerprint as 32 hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// IsZero reports whether f was never set.
func (f Fingerprint) IsZero() bool { return f == Fingerprint{} }
