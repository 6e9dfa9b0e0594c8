package kafka

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slabs are the records that a client decodes fetches into, kept to be used again (kgo.PoolRecords): they are a tenth of
// what a processor allocates, and the collector looks at all that lie there. What they point to is not kept.
type slabs struct{ pool sync.Pool }

// GetRecords implements kgo.PoolRecords.
func (s *slabs) GetRecords(n int) []kgo.Record {
	if held, ok := s.pool.Get().(*[]kgo.Record); ok && cap(*held) >= n {
		return *held
	}
	return make([]kgo.Record, n)
}

// PutRecords implements kgo.PoolRecords.
func (s *slabs) PutRecords(records []kgo.Record) { s.pool.Put(&records) }
