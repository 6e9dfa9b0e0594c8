// Package workload writes what the benchmarks read: Debezium events of one table of orders, of which a share changes no
// column. The same seed gives the same events.
package workload

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ChangedEvery says how many events there are for each that changes a column: the others are no-ops.
const ChangedEvery = 10

// eventBytes is what key and value of an event have, to within a dozen bytes.
const eventBytes = 1024

// rowBytes is what the columns have of them. The note fills them up, whatever `source` holds: a no-op repeats each byte.
const rowBytes = eventBytes - 358

// Orders is a table of orders as its events tell it. It is for one goroutine.
type Orders struct {
	random    *rand.Rand
	revisions []int // by order ID
	lsn       int64
}

// NewOrders returns a table of n orders.
func NewOrders(n int, seed uint64) *Orders {
	return &Orders{random: rand.New(rand.NewPCG(seed, 7)), revisions: make([]int, n), lsn: 26_000_000}
}

// Created returns one event for each order.
func (o *Orders) Created() []*kgo.Record {
	return o.events(len(o.revisions), func(i int) (int, string) { return i, "c" })
}

// Changed returns n updates of orders taken at random: one in ChangedEvery alters columns, the others repeat them. All
// differ in their `source`.
func (o *Orders) Changed(n int) []*kgo.Record { return o.events(n, o.update) }

// Create produces one event for each order, and returns when all are acknowledged.
func (o *Orders) Create(ctx context.Context, cl *kgo.Client) error {
	return o.produce(ctx, cl, len(o.revisions), func(i int) (int, string) { return i, "c" })
}

// Change produces what Changed returns.
func (o *Orders) Change(ctx context.Context, cl *kgo.Client, n int) error {
	return o.produce(ctx, cl, n, o.update)
}

func (o *Orders) update(i int) (id int, op string) {
	id = o.random.IntN(len(o.revisions))
	if i%ChangedEvery == 0 {
		o.revisions[id]++
	}
	return id, "u"
}

func (o *Orders) events(n int, next func(i int) (id int, op string)) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		out[i] = o.event(next(i))
	}
	return out
}

func (o *Orders) produce(ctx context.Context, cl *kgo.Client, n int, next func(i int) (id int, op string)) error {
	first := kgo.AbortingFirstErrPromise(cl)
	for i := range n {
		cl.Produce(ctx, o.event(next(i)), first.Promise())
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	return first.Err()
}

var statuses = []string{"open", "paid", "packed", "shipped", "delivered", "returned"}

// event is what the Postgres connector writes, without schemas, for the order as it is now.
func (o *Orders) event(id int, op string) *kgo.Record {
	o.lsn += 1 + o.random.Int64N(400)
	ms := 1_780_000_000_000 + o.lsn/50
	rev := o.revisions[id]
	key := fmt.Appendf(nil, `{"id":%d}`, id)
	after := fmt.Sprintf(`"id":%d,"customer":"customer %d","email":"c%d@example.org","status":%q,"total":"%d.%02d","items":%d,"paid":%t,"created_at":"2026-03-%02dT09:%02d:00Z"`,
		id, id%9973, id%9973, statuses[rev%len(statuses)], 10+(id*7+rev)%500, id%100, 1+id%9, rev%2 == 1, 1+id%28, id%60)
	source := fmt.Sprintf(`{"version":"3.7.0.Final","connector":"postgresql","name":"shop","ts_ms":%d,"snapshot":"false","db":"shop","sequence":"[\"%d\",\"%d\"]","ts_us":%d000,"ts_ns":%d000000,"schema":"public","table":"orders","txId":%d,"lsn":%d,"xmin":null}`,
		ms, o.lsn-56, o.lsn, ms, ms, o.lsn%900_000, o.lsn)
	value := make([]byte, 0, eventBytes)
	value = append(value, `{"before":null,"after":{`+after+`,"note":"`...)
	for words := id + rev; len(value) < rowBytes; words = words*31%10_007 + 17 {
		value = append(value, vocabulary[words%len(vocabulary)]...)
	}
	value = append(value, `"},"source":`+source+`,"transaction":null,"op":"`+op+`","ts_ms":`+strconv.FormatInt(ms+40, 10)+`}`...)
	return &kgo.Record{Key: key, Value: value}
}

var vocabulary = []string{"please ", "leave ", "it ", "with ", "the ", "neighbour ", "on ", "third ", "floor ", "ring ", "twice ", "and ", "wait "}
