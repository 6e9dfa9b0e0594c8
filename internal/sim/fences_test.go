//go:build synctests

package sim

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fences shut out a producer that another one of the same transactional ID has replaced, as Kafka does. The in-process
// broker takes the end of such a producer's transaction, which the other one's start has aborted, for a repetition, and
// answers with the epoch of the other, so that both are the same producer from then on.
type fences struct {
	mu     sync.Mutex
	seen   map[string]int16     // highest epoch used so far, by transactional ID
	last   map[string]time.Time // when it was
	fenced map[string]int16     // epochs up to this one are of producers that were replaced
}

func (f *fences) guard(broker *kfake.Cluster) {
	f.seen, f.last, f.fenced = map[string]int16{}, map[string]time.Time{}, map[string]int16{}
	for _, key := range []kmsg.Key{kmsg.InitProducerID, kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		broker.ControlKey(int16(key), func(req kmsg.Request) (kmsg.Response, error, bool) {
			broker.KeepControl()
			f.mu.Lock()
			defer f.mu.Unlock()
			resp := f.meet(req)
			return resp, nil, resp != nil
		})
	}
}

func (f *fences) meet(req kmsg.Request) kmsg.Response {
	switch r := req.(type) {
	case *kmsg.InitProducerIDRequest:
		if r.TransactionalID != nil {
			f.replace(*r.TransactionalID)
		}
	case *kmsg.ProduceRequest:
		if r.TransactionID != nil {
			f.see(*r.TransactionID, epochOf(r))
		}
	case *kmsg.TxnOffsetCommitRequest:
		f.see(r.TransactionalID, r.ProducerEpoch)
	case *kmsg.EndTxnRequest:
		if fenced, ok := f.fenced[r.TransactionalID]; ok && r.ProducerEpoch <= fenced {
			resp := r.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = kerr.ProducerFenced.Code
			return resp
		}
		f.see(r.TransactionalID, r.ProducerEpoch)
	}
	return nil
}

// replace shuts out whoever used the transactional ID so far. The broker forgets one that nobody used for a week, and counts anew.
func (f *fences) replace(id string) {
	const forgotten = 7 * 24 * time.Hour
	epoch, ok := f.seen[id]
	switch {
	case !ok:
	case time.Since(f.last[id]) < forgotten:
		f.fenced[id] = epoch
	default:
		delete(f.seen, id)
		delete(f.fenced, id)
	}
}

func (f *fences) see(id string, epoch int16) {
	f.seen[id], f.last[id] = max(f.seen[id], epoch), time.Now()
}

// epochOf is the producer's epoch in the header of a record batch.
func epochOf(r *kmsg.ProduceRequest) int16 {
	const at = 51
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if len(p.Records) >= at+2 {
				return int16(binary.BigEndian.Uint16(p.Records[at:]))
			}
		}
	}
	return 0
}
