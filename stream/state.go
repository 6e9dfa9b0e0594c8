package stream

// StateEntry is one write to a partition's state, as it lies on the changelog and in the local store: Value under Key. A
// nil Value deletes the key; an empty one is stored. Keys are not empty, do not begin with a zero byte, and are at most
// 65,000 bytes long. Values stay below 300 KiB: larger ones are cut into parts, or cost space that comes back late.
type StateEntry struct{ Key, Value []byte }

// Checkpoint says which part of the changelog a local store holds.
type Checkpoint struct {
	TopicID    string      `cbor:"1,keyasint"` // Kafka's topic ID of the changelog
	Applied    int64       `cbor:"2,keyasint"` // offset of the last progress record applied
	Format     int         `cbor:"3,keyasint"` // format of the entries
	Input      int64       `cbor:"4,keyasint"` // next source offset
	Generation int64       `cbor:"5,keyasint"`
	Revision   Fingerprint `cbor:"6,keyasint"`
	Clock      int64       `cbor:"7,keyasint"`           // wall clock when applied, ns since 1970 UTC
	Declared   int64       `cbor:"8,keyasint,omitempty"` // number of the revision that the progress record's writer ran; 0: unknown
}
