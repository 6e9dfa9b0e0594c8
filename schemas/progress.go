package schemas

import (
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// ProgressKey is the key of progress records. It sorts behind every state key, none of which starts with this byte.
const ProgressKey = "\xffprogress"

// progressFormat is the version that is written; older ones are read.
const progressFormat = 1

// Progress is the last record of every transaction on a changelog partition: what the partition's state, up to and
// including this record, is the result of.
type Progress struct {
	Generation  int64
	Revision    stream.Fingerprint // of the program's logic
	Input       map[string]int64   // next offset to read of this partition, by source topic
	Watermark   int64              // source time, ns since 1970, up to which changes were taken in; 0: unknown
	Counts      Counts
	Reevaluated bool  // every document of the partition was evaluated by this revision
	Declared    int64 // number of the revision that the writer ran; 0: unknown
}

// Counts are the changes of a partition since its first, each in exactly one of these (Invariant 8).
type Counts struct {
	Applied     int64 `cbor:"1,keyasint,omitempty"` // taken in, and the rows are what they should be
	Noop        int64 `cbor:"2,keyasint,omitempty"` // the document's fields were these already
	Superseded  int64 `cbor:"3,keyasint,omitempty"` // a newer change of the document came before it was evaluated
	Pending     int64 `cbor:"4,keyasint,omitempty"` // not evaluated yet
	Quarantined int64 `cbor:"5,keyasint,omitempty"`
	Other       int64 `cbor:"6,keyasint,omitempty"` // events that are no document's
}

// progressWire is format 1.
type progressWire struct {
	Format      int                `cbor:"0,keyasint"`
	Generation  int64              `cbor:"1,keyasint"`
	Revision    stream.Fingerprint `cbor:"2,keyasint"`
	Input       map[string]int64   `cbor:"3,keyasint"`
	Watermark   int64              `cbor:"4,keyasint,omitempty"`
	Counts      Counts             `cbor:"5,keyasint"`
	Reevaluated bool               `cbor:"6,keyasint,omitempty"`
	Declared    int64              `cbor:"7,keyasint,omitempty"`
}

// EncodeProgress returns the record, without topic and partition.
func EncodeProgress(p Progress) (stream.Record, error) {
	value, err := stream.Marshal(progressWire{Format: progressFormat, Generation: p.Generation, Revision: p.Revision,
		Input: p.Input, Watermark: p.Watermark, Counts: p.Counts, Reevaluated: p.Reevaluated, Declared: p.Declared})
	if err != nil {
		return stream.Record{}, &stream.Error{Op: "encode progress", Err: err}
	}
	return stream.Record{Key: []byte(ProgressKey), Value: value}, nil
}

// IsProgress reports whether a changelog record is a progress record rather than a state entry.
func IsProgress(r *stream.Record) bool { return string(r.Key) == ProgressKey }

// DecodeProgress reads a progress record. An unknown format is an error of kind Usage: a newer version wrote it.
func DecodeProgress(r *stream.Record) (Progress, error) {
	op := fmt.Sprintf("read progress record %s[%d]@%d", r.Topic, r.Partition, r.Offset)
	if !IsProgress(r) {
		return Progress{}, stream.Errorf(stream.Internal, op, "it is no progress record")
	}
	var w progressWire
	if err := decodeFormat(r.Value, &w, op, progressFormat); err != nil {
		return Progress{}, err
	}
	return Progress{Generation: w.Generation, Revision: w.Revision, Input: w.Input, Watermark: w.Watermark, Counts: w.Counts,
		Reevaluated: w.Reevaluated, Declared: w.Declared}, nil
}

// decodeFormat reads a CBOR map whose key 0 is its format, a number up to newest.
func decodeFormat(value []byte, into any, op string, newest int) error {
	var head struct {
		Format int `cbor:"0,keyasint"`
	}
	if err := stream.Unmarshal(value, &head); err != nil {
		return stream.Errorf(stream.Internal, op, "it is malformed: %w", err)
	}
	if head.Format < 1 || head.Format > newest {
		return stream.Errorf(stream.Usage, op, "it has format %d, but this version of Freshet reads formats up to %d; "+
			"start a newer version", head.Format, newest)
	}
	if err := stream.Unmarshal(value, into); err != nil {
		return stream.Errorf(stream.Internal, op, "it is malformed: %w", err)
	}
	return nil
}
