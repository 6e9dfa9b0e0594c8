package schemas_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// FuzzDebezium: no input panics; what decodes can be stored and read again, and every error is of kind Invalid.
func FuzzDebezium(f *testing.F) {
	f.Add([]byte(`{"id":1}`), []byte(`{"op":"u","after":{"id":1,"x":[1.5,null,{"y":"\u00e9"}]},"source":{"lsn":1}}`))
	f.Add([]byte(`{"schema":{},"payload":{"a":1,"b":"x"}}`), []byte(`{"schema":{"fields":[{"field":"after","fields":[`+
		`{"field":"x","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}]}]},"payload":{"op":"c","after":{"x":"AeJA"}}}`))
	f.Add([]byte(`"k"`), []byte(`{"ts_ms":1}`))
	f.Add([]byte(`{"a":"\\"}`), []byte(`{"status":"END"}`))
	decoders := []*schemas.Debezium{
		schemas.NewDebezium("s", nil, stream.Settings{}),
		schemas.NewDebezium("s", []stream.Field{field("x", decimal(2)), field("id", stream.TypeTimestamp.OrNull())}, stream.Settings{}),
	}
	f.Fuzz(func(t *testing.T, key, value []byte) {
		for _, d := range decoders {
			c, err := d.Decode(&stream.Record{Key: key, Value: value})
			if err != nil && stream.KindOf(err) != stream.Invalid {
				t.Fatal(err)
			}
			if err != nil || c.Op != stream.Upsert {
				continue
			}
			v, _, err := d.Fields(&c)
			if err != nil && stream.KindOf(err) != stream.Invalid {
				t.Fatal(err)
			}
			if again, derr := stream.DecodeValue(stream.AppendValue(nil, v)); err == nil && (derr != nil || !again.Equal(v)) {
				t.Fatalf("%v is read again as %v, %v", v, again, derr)
			}
		}
	})
}

func envelopeOf(bytes int) *stream.Record {
	pad := strings.Repeat("x", bytes-480)
	return &stream.Record{Topic: "shop.public.items", Key: []byte(`{"id":123456}`), Value: fmt.Appendf(nil,
		`{"before":null,"after":{"id":123456,"title":"an item","qty":3,"price":"AeJA","body":"%s"},"source":{"version":"3.7.0.Final",`+
			`"connector":"postgresql","name":"shop","ts_ms":1795342363624,"snapshot":"false","db":"shop","sequence":"[null,\"31564720\"]",`+
			`"ts_us":1795342363624347,"ts_ns":1795342363624347000,"schema":"public","table":"items","txId":1179,"lsn":31564720,"xmin":null},`+
			`"transaction":null,"op":"u","ts_ms":1795342364158}`, pad)}
}

func BenchmarkDecode1KiB(b *testing.B) {
	d, r := schemas.NewDebezium("s", nil, stream.Settings{}), envelopeOf(1024)
	b.SetBytes(int64(len(r.Value)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Decode(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFields1KiB(b *testing.B) {
	d, r := schemas.NewDebezium("s", nil, stream.Settings{}), envelopeOf(1024)
	c, _ := d.Decode(r)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.Fields(&c); err != nil {
			b.Fatal(err)
		}
	}
}
