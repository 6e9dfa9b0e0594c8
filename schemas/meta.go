package schemas

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/freshet-dev/freshet/stream"
)

// Keys of the records of a flow's meta topic. The latest record of a key holds.
const (
	GenerationKey  = "generation"
	DeclarationKey = "declaration"
	TopicsKey      = "topics"
	BackfillKey    = "backfill"
)

// pastKey begins the key of each revision's own record, which stays when newer ones come; its number follows.
const pastKey = "declaration/"

const (
	metaFormat = 1
	// rolledFormat is that of a declaration with editions, and filedFormat of one with files, which builds that don't know them can't run.
	rolledFormat = 2
	filedFormat  = 3
)

// Generation is the record of a flow's present generation.
type Generation struct {
	Generation int64
	Created    int64           // wall clock, ns since 1970
	ResetEnds  map[int32]int64 // by source partition: its end offset when `reset` made this generation; nil for the first
	// IntakeEnds is ResetEnds of a flow with an intake: by source topic and partition.
	IntakeEnds map[string]map[int32]int64
}

// Declaration is the record of a flow's declaration at one revision. It is kept under two keys: the present one, and its own.
type Declaration struct {
	Revision int64
	Created  int64            // wall clock, ns since 1970
	Body     []byte           // what it comes to, in a form that package flow knows
	Text     []byte           // the flow file, without an overlay; nil in records of versions that did not keep it
	Editions []stream.Edition // of the tables that roll out blue-green
	// Files are the contents of those that the text names and that belong to its logic, such as prompts, by path as it is written.
	Files map[string][]byte
}

// Backfill is the record of how fast documents that a revision changed are to be evaluated again. None: as fast as it goes.
type Backfill struct {
	Paused bool
	Rate   float64 // documents a second, over all replicas; 0: as fast as it goes
}

// Topics is the record of which topics a generation of a flow works on. Kafka gives a topic that is deleted and created
// anew another ID.
type Topics struct {
	Generation int64
	Topics     map[string]Topic // by name
}

// Topic is one topic as it is on the cluster.
type Topic struct {
	ID         string // as text
	Partitions int32
}

// Meta is a decoded record of the meta topic: one of its parts, or none for a record that is of no known key.
type Meta struct {
	Generation  *Generation
	Declaration *Declaration
	Past        *Declaration // of the revision's own record
	Topics      *Topics
	Backfill    *Backfill
}

type generationWire struct {
	Format     int             `cbor:"0,keyasint"`
	Generation int64           `cbor:"1,keyasint"`
	Created    int64           `cbor:"2,keyasint"`
	ResetEnds  map[int32]int64 `cbor:"3,keyasint,omitempty"`

	IntakeEnds map[string]map[int32]int64 `cbor:"4,keyasint,omitempty"`
}

type declarationWire struct {
	Format   int    `cbor:"0,keyasint"`
	Revision int64  `cbor:"1,keyasint"`
	Created  int64  `cbor:"2,keyasint"`
	Body     []byte `cbor:"3,keyasint"`
	Text     []byte `cbor:"4,keyasint,omitempty"`

	Editions []editionWire     `cbor:"5,keyasint,omitempty"`
	Files    map[string][]byte `cbor:"6,keyasint,omitempty"`
}

type editionWire struct {
	Table string `cbor:"0,keyasint"`
	Now   int64  `cbor:"1,keyasint"`
	Other int64  `cbor:"2,keyasint,omitempty"`
	Shown int64  `cbor:"3,keyasint"`
}

type backfillWire struct {
	Format int     `cbor:"0,keyasint"`
	Paused bool    `cbor:"1,keyasint,omitempty"`
	Rate   float64 `cbor:"2,keyasint,omitempty"`
}

type topicsWire struct {
	Format     int                  `cbor:"0,keyasint"`
	Generation int64                `cbor:"1,keyasint"`
	Topics     map[string]topicWire `cbor:"2,keyasint"`
}

type topicWire struct {
	ID         string `cbor:"0,keyasint"`
	Partitions int32  `cbor:"1,keyasint"`
}

// EncodeGeneration returns the record, without a topic.
func EncodeGeneration(g Generation) (stream.Record, error) {
	return metaRecord(GenerationKey, generationWire{metaFormat, g.Generation, g.Created, g.ResetEnds, g.IntakeEnds})
}

// EncodeDeclaration returns the two records, without a topic: the revision's own, and that of the present declaration.
func EncodeDeclaration(d Declaration) ([]stream.Record, error) {
	wire := declarationWire{Format: metaFormat, Revision: d.Revision, Created: d.Created, Body: d.Body, Text: d.Text}
	for _, e := range d.Editions {
		wire.Format, wire.Editions = rolledFormat, append(wire.Editions, editionWire(e))
	}
	if len(d.Files) > 0 {
		wire.Format, wire.Files = filedFormat, d.Files
	}
	past, err := metaRecord(pastKey+strconv.FormatInt(d.Revision, 10), wire)
	if err != nil {
		return nil, err
	}
	present, err := metaRecord(DeclarationKey, wire)
	return []stream.Record{past, present}, err
}

// EncodeBackfill returns the record, without a topic.
func EncodeBackfill(b Backfill) (stream.Record, error) {
	return metaRecord(BackfillKey, backfillWire{metaFormat, b.Paused, b.Rate})
}

// EncodeTopics returns the record, without a topic.
func EncodeTopics(t Topics) (stream.Record, error) {
	w := topicsWire{metaFormat, t.Generation, map[string]topicWire{}}
	for name, topic := range t.Topics {
		w.Topics[name] = topicWire(topic)
	}
	return metaRecord(TopicsKey, w)
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
	key := string(r.Key)
	past := strings.HasPrefix(key, pastKey)
	switch {
	case key == GenerationKey:
		var w generationWire
		if err := decodeFormat(r.Value, &w, op, metaFormat); err != nil {
			return Meta{}, err
		}
		return Meta{Generation: &Generation{w.Generation, w.Created, w.ResetEnds, w.IntakeEnds}}, nil
	case key == DeclarationKey, past:
		var w declarationWire
		if err := decodeFormat(r.Value, &w, op, filedFormat); err != nil {
			return Meta{}, err
		}
		d := &Declaration{Revision: w.Revision, Created: w.Created, Body: w.Body, Text: w.Text, Files: w.Files}
		for _, e := range w.Editions {
			d.Editions = append(d.Editions, stream.Edition(e))
		}
		if past {
			return Meta{Past: d}, nil
		}
		return Meta{Declaration: d}, nil
	case key == BackfillKey:
		var w backfillWire
		if err := decodeFormat(r.Value, &w, op, metaFormat); err != nil {
			return Meta{}, err
		}
		return Meta{Backfill: &Backfill{w.Paused, w.Rate}}, nil
	case key == TopicsKey:
		var w topicsWire
		if err := decodeFormat(r.Value, &w, op, metaFormat); err != nil {
			return Meta{}, err
		}
		t := Topics{w.Generation, map[string]Topic{}}
		for name, topic := range w.Topics {
			t.Topics[name] = Topic(topic)
		}
		return Meta{Topics: &t}, nil
	}
	return Meta{}, nil
}
