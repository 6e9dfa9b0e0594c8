package stream

import "time"

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is what lies on a topic. Its byte slices belong to the receiver of the record and are not changed by anyone.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Timestamp time.Time
	Key       []byte
	Value     []byte // nil: tombstone
	Headers   []Header
}

// Position says where a change came from: the record, and the source's own coordinates.
type Position struct {
	Topic     string `cbor:"1,keyasint,omitempty"`
	Partition int32  `cbor:"2,keyasint,omitempty"`
	Offset    int64  `cbor:"3,keyasint,omitempty"`
	Source    string `cbor:"4,keyasint,omitempty"` // LSN, binlog position, commit, file state ...
	Time      int64  `cbor:"5,keyasint,omitempty"` // source time, ns since 1970 UTC; 0: unknown
}

// Op is what a change does to its document.
type Op uint8

// Operations. Other marks records that are recognised but no document change (heartbeat, transaction marker, truncate,
// logical message, schema change ...); Change.Other names the kind, and the engine counts and skips them.
const (
	Upsert Op = iota
	Delete
	Other
)

// String names the operation.
func (o Op) String() string { return [...]string{"upsert", "delete", "other"}[o] }

// Change is a decoded source record: cheap to make, since its fields are decoded only when asked for (Decoder.Fields).
type Change struct {
	Document string // document ID, "<source>/<key>"
	Op       Op
	Other    string   // with Op Other: heartbeat, truncate, message, transaction, unknown ...
	Image    []byte   // raw bytes from which the fields follow; equal images of one document have equal fields
	Begins   int      // bytes at the beginning of the record's value that decide the image; 0: no number of them does
	Position Position // where it came from
	Record   *Record  // the record itself; aliases, not copied
}

// Decoder turns the records of one source into changes. It is safe for concurrent use.
//
// Decode fails with kind Invalid for a record that can't be understood; the engine quarantines it by position.
// Fields decodes an upsert's image into a map value and names the columns whose value the source did not send
// (unavailable, e.g. unchanged TOAST): those keep their stored value.
type Decoder interface {
	Decode(r *Record) (Change, error)
	Fields(c *Change) (fields Value, unavailable []string, err error)
}
