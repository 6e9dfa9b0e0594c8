package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// load writes Debezium events of documents that are created, changed, deleted and created again.
type load struct {
	cl     *kgo.Client
	topic  string
	random *rand.Rand
	live   map[int]int // document → revision
	rev    int
	sent   atomic.Int64
}

const documents = 60

func newLoad(t *testing.T, broker, topic string, seed uint64) *load {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &load{cl: cl, topic: topic, random: rand.New(rand.NewPCG(seed, 1)), live: map[int]int{}}
}

// step writes n random changes.
func (l *load) step(ctx context.Context, n int) error {
	var records []*kgo.Record
	for range n {
		id := l.random.IntN(documents)
		switch _, alive := l.live[id]; {
		case alive && l.random.IntN(4) == 0:
			records = append(records, l.remove(id)...)
		default:
			records = append(records, l.write(id))
		}
	}
	l.sent.Add(int64(len(records)))
	return l.cl.ProduceSync(ctx, records...).FirstErr()
}

// write gives the document a new revision: all of its rows carry it, and the row of table docs says how many there are.
func (l *load) write(id int) *kgo.Record {
	l.rev++
	op := "u"
	if _, alive := l.live[id]; !alive {
		op = "c"
	}
	l.live[id] = l.rev
	return event(id, op, l.rev, 1+l.random.IntN(6))
}

func event(id int, op string, rev, parts int) *kgo.Record {
	paragraphs := make([]string, parts)
	for i := range paragraphs {
		// A part changes now and then only, so that runs mix computed and reused results.
		paragraphs[i] = fmt.Sprintf("Document %d says in part %d, of edition %d, that the river carries what it is given.", id, i, rev/(i+2))
	}
	value := fmt.Sprintf(`{"before":null,"after":{"id":%d,"rev":%d,"parts":%d,"body":%q},"source":{"connector":"postgresql","lsn":%d,"ts_ms":1700000000000},"op":%q,"ts_ms":1700000000000}`,
		id, rev, parts, strings.Join(paragraphs, "\n\n"), rev, op)
	return &kgo.Record{Key: key(id), Value: []byte(value)}
}

// remove deletes the document as Debezium does: an event, then a tombstone.
func (l *load) remove(id int) []*kgo.Record {
	delete(l.live, id)
	value := fmt.Sprintf(`{"before":{"id":%d},"after":null,"source":{"connector":"postgresql","lsn":%d,"ts_ms":1700000000000},"op":"d","ts_ms":1700000000000}`, id, l.rev)
	return []*kgo.Record{{Key: key(id), Value: []byte(value)}, {Key: key(id)}}
}

func key(id int) []byte { return fmt.Appendf(nil, `{"id":%d}`, id) }
