package guarded

import (
	"time"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Spec declares the store, reached at a URL, as a kind of target.
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "guarded",
		Doc:  "A target without transactions, for tests.",
		Settings: []stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true, Doc: "Where its server listens."},
			{Name: "by_batch", Kind: stream.SettingBool, Doc: "One condition for all rows of a batch."},
			{Name: "tombstone_age", Kind: stream.SettingDuration, Doc: "How long tombstones stay; an hour by default."},
		},
		TableSettings: []stream.Setting{{Name: "table", Kind: stream.SettingString, Doc: "Name of the table in the target."}},
		Guarantees:    stream.Guarantees{Vectors: true, Deletes: true},
		New: func(c stream.SinkConfig) (stream.Sink, error) {
			url, err := c.Settings.Secret("url").Resolve()
			if err != nil {
				return nil, stream.Errorf(stream.Usage, "configure target guarded", "%w", err)
			}
			return NewSink(Dial(url), c.Tables, guard.Options{ByBatch: c.Settings.Bool("by_batch"),
				TombstoneAge: time.Duration(c.Settings.Values.Field("tombstone_age").Int())})
		},
	}
}

// NewSink returns a sink over a client.
func NewSink(c *Client, tables []stream.TargetTable, o guard.Options) (*guard.Sink, error) {
	return guard.New(c, guard.TablesOf(tables), o)
}
