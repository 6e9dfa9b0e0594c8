package topic

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/sinks/jsonvalue"
	"github.com/freshet-dev/freshet/stream"
)

// Headers of a row's record.
const (
	headerFormat  = "freshet.format"  // json or avro
	headerVersion = "freshet.version" // generation · 2^43 + offset, in decimal
	headerUnit    = "freshet.unit"    // "i/n": the i-th (from 1) of the n records that a change of the document put on the topic
	headerLineage = "freshet.lineage" // JSON; not on deletes
	headerSchema  = "freshet.schema"  // Avro's, in JSON; not on deletes
	headerTopic   = "freshet.topic"   // on the stage only: where the record belongs
)

// rowKey is a row's record key: the JSON array [document, key], the same text for the same row.
func rowKey(document, key string) ([]byte, error) {
	b, err := jsonvalue.AppendString([]byte{'['}, document)
	if err == nil {
		b, err = jsonvalue.AppendString(append(b, ','), key)
	}
	return append(b, ']'), err
}

// parseKey undoes rowKey; ok is false for the key of no row.
func parseKey(raw []byte) (document, key string, ok bool) {
	var parts []string
	if json.Unmarshal(raw, &parts) != nil || len(parts) != 2 {
		return "", "", false
	}
	again, err := rowKey(parts[0], parts[1])
	return parts[0], parts[1], err == nil && string(again) == string(raw)
}

// record is what is written for a row: the i-th of n of its unit.
func (s *Sink) record(t *table, partition int32, r *stream.RowWrite, i, n int) (*kgo.Record, error) {
	out := &kgo.Record{Topic: t.topic, Partition: partition, Headers: []kgo.RecordHeader{
		{Key: headerFormat, Value: []byte(t.format)},
		{Key: headerVersion, Value: strconv.AppendInt(nil, r.Version.Pack(), 10)},
		{Key: headerUnit, Value: fmt.Appendf(nil, "%d/%d", i, n)},
	}}
	var err error
	if out.Key, err = rowKey(r.Document, r.Key); err == nil && !r.Delete {
		if err = t.fits(r.Columns); err == nil {
			out.Value, err = t.encode(r.Columns)
		}
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: headerLineage, Value: r.Lineage})
		if text := t.schema(); text != nil {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: headerSchema, Value: text})
		}
	}
	if err != nil {
		return nil, &stream.Error{Op: s.op("write a row of table " + t.Name + " to"), Doc: r.Document, Kind: stream.Usage, Err: err}
	}
	return out, nil
}

// tombstone is the record that deletes what an entry holds, of this version.
func (t *table) tombstone(e *entry, version stream.Version) *kgo.Record {
	return &kgo.Record{Topic: t.topic, Partition: e.Partition, Key: e.rawKey(), Headers: []kgo.RecordHeader{
		{Key: headerFormat, Value: []byte(t.format)},
		{Key: headerVersion, Value: strconv.AppendInt(nil, version.Pack(), 10)},
		{Key: headerUnit, Value: []byte("1/1")},
	}}
}

// header returns the last value of a header.
func header(r *kgo.Record, name string) (string, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == name {
			return string(r.Headers[i].Value), true
		}
	}
	return "", false
}

// entry is a record as it is sorted: by table, document, key and partition.
type entry struct {
	Table         int
	Document, Key string
	Foreign       []byte // the key of a record that is no row's; nil for rows
	Partition     int32
	Offset        int64
	Version       int64 // packed; 0 where the record does not say
	Dead          bool  // a tombstone
	Sum           stream.Fingerprint
	Value         []byte             // only when it is asked for
	Headers       []kgo.RecordHeader // only when they are asked for
}

// entryOf reads a record of a table. With content, the entry carries what the record does.
func entryOf(r *kgo.Record, table int, content bool) entry {
	e := entry{Table: table, Partition: r.Partition, Offset: r.Offset, Dead: r.Value == nil}
	var ok bool
	if e.Document, e.Key, ok = parseKey(r.Key); !ok {
		e.Document, e.Key, e.Foreign = "", "", append([]byte{}, r.Key...)
	}
	text, _ := header(r, headerVersion)
	if v, err := strconv.ParseInt(text, 10, 64); err == nil && 0 <= v && v < stream.MaxPacked {
		e.Version = v
	}
	lineage, _ := header(r, headerLineage)
	schema, _ := header(r, headerSchema)
	e.Sum = stream.FingerprintOfList(stream.BytesOf(r.Value), stream.StringOf(lineage), stream.StringOf(schema))
	if content {
		e.Value, e.Headers = r.Value, r.Headers
	}
	return e
}

// rawKey is the record's key.
func (e *entry) rawKey() []byte {
	if e.Foreign != nil {
		return e.Foreign
	}
	key, _ := rowKey(e.Document, e.Key) // it was read from such a key
	return key
}

// size estimates what an entry takes in memory.
func (e *entry) size() int {
	n := 160 + len(e.Document) + len(e.Key) + len(e.Foreign) + len(e.Value)
	for _, h := range e.Headers {
		n += 48 + len(h.Key) + len(h.Value)
	}
	return n
}

// compare orders entries by what they are records of, and then by offset.
func (e *entry) compare(o *entry) int {
	if c := e.compareRow(o); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(e.Partition, o.Partition), cmp.Compare(e.Offset, o.Offset))
}

func (e *entry) compareRow(o *entry) int {
	return cmp.Or(cmp.Compare(e.Table, o.Table), cmp.Compare(e.Document, o.Document), cmp.Compare(e.Key, o.Key), bytes.Compare(e.Foreign, o.Foreign))
}
