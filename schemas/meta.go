package schemas

import (
	"fmt"

	"github.com/freshet-dev/freshet/stream"
)

// Keys of the records of a flow's meta topic. The latest record of a key holds.
const (
	GenerationKey  = "generation"
	DeclarationKey = "declaration"
)

const metaFormat = 1

// Generation is the record of a flow's present generation.
type Generation struct {
	Generation int64
	Created    int64           // wall clock, ns since 1970
	ResetEnds  map[int32]int64 // by source partition: its end offset when `reset` made this generation; nil for the first
}

// Declaration is the record of a flow's present declaration.
type Declaration struct {
	Revision int64
	Created  int64  // wall clock, ns since 1970
	Body     []byte // the declaration, in a form that package flow knows
}

// Meta is a decoded record of the meta topic: one of its parts, or neither for a record that is of no known key.
type Meta struct {
	Generation  *Generation
	Declaration *Declaration
}

type generationWire struct {
	Format     int             `cbor:"0,keyasint"`
	Generation int64           `cbor:"1,keyasint"`
	Created    int64           `cbor:"2,keyasint"`
	ResetEnds  map[int32]int64 `cbor:"3,keyasint,omitempty"`
}

type declarationWire struct {
	Format   int    `cbor:"0,keyasint"`
	Revision int64  `cbor:"1,keyasint"`
	Created  int64  `cbor:"2,keyasint"`
	Body     []byte `cbor:"3,keyasint"`
}

// EncodeGeneration returns the record, without a topic.
func EncodeGeneration(g Generation) (stream.Record, error) {
	return metaRecord(GenerationKey, generationWire{metaFormat, g.Generation, g.Created, g.ResetEnds})
}

// EncodeDeclaration returns the record, without a topic.
func EncodeDeclaration(d Declaration) (stream.Record, error) {
	return metaRecord(DeclarationKey, declarationWire{metaFormat, d.Revision, d.Created, d.Body})
}

func metaRecord(key string, wire any) (stream.Record, error) {
	value, err := stream.Marshal(wire)
	if err != nil {
		return stream.Record{}, &stream.Error{Op: "encode the meta record " + key, Err: err}
	}
	return stream.Record{Key: []byte(key), Value: value}, nil
}

// DecodeMeta reads a record of the meta topic. An unknown format is an error of kind Usage.
func DecodeMeta(r *stream.Record) (Meta, error) {
	op := fmt.Sprintf("read meta record %s[%d]@%d", r.Topic, r.Partition, r.Offset)
	switch string(r.Key) {
	case GenerationKey:
		var w generationWire
		if err := decodeFormat(r.Value, &w, op, metaFormat); err != nil {
			return Meta{}, err
		}
		return Meta{Generation: &Generation{w.Generation, w.Created, w.ResetEnds}}, nil
	case DeclarationKey:
		var w declarationWire
		if err := decodeFormat(r.Value, &w, op, metaFormat); err != nil {
			return Meta{}, err
		}
		return Meta{Declaration: &Declaration{w.Revision, w.Created, w.Body}}, nil
	}
	return Meta{}, nil
}
