package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// load writes Debezium events of documents that are created, changed, deleted and created again, and knows what must
// come of them: it is the model of the source.
type load struct {
	cl        *kgo.Client
	topic     string
	random    *rand.Rand
	documents int
	parts     int // of a document at the most
	rate      atomic.Int64
	sent      atomic.Int64

	mu   sync.Mutex
	live map[int]edition
	rev  int
}

// edition is what a document says now.
type edition struct{ rev, parts int }

func newLoad(t *testing.T, r *rig, seed uint64, documents, parts, rate int) *load {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addresses()...), kgo.DefaultProduceTopic(r.topic), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	l := &load{cl: cl, topic: r.topic, random: rand.New(rand.NewPCG(seed, 2)), documents: documents, parts: parts, live: map[int]edition{}}
	l.rate.Store(int64(rate))
	return l
}

// run writes rate changes a second until ctx ends. What it could not write in time it leaves out.
func (l *load) run(ctx context.Context) error {
	const beats = 50
	tick := time.NewTicker(time.Second / beats)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			// What was begun is ended: the model has it already.
			if err := l.step(context.WithoutCancel(ctx), int(max(1, l.rate.Load()/beats))); err != nil {
				return err
			}
		}
	}
}

// step writes n random changes.
func (l *load) step(ctx context.Context, n int) error {
	l.mu.Lock()
	var records []*kgo.Record
	for range n {
		id := l.random.IntN(l.documents)
		switch _, alive := l.live[id]; {
		case alive && l.random.IntN(4) == 0:
			records = append(records, l.remove(id)...)
		default:
			records = append(records, l.write(id))
		}
	}
	l.mu.Unlock()
	if err := l.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	l.sent.Add(int64(len(records)))
	return nil
}

// write gives the document a new revision: all of its rows carry it, and the row of table docs says how many there are.
func (l *load) write(id int) *kgo.Record {
	l.rev++
	op := "u"
	if _, alive := l.live[id]; !alive {
		op = "c"
	}
	l.live[id] = edition{l.rev, 1 + l.random.IntN(l.parts)}
	return event(id, op, l.live[id])
}

// texts are the parts of a document. A part changes now and then only, so that runs mix computed and reused results, and
// says in time what it said before, so that a long run's results are not without end.
func (e edition) texts(id int) []string {
	out := make([]string, e.parts)
	for i := range out {
		out[i] = fmt.Sprintf("Document %d says in part %d, of edition %d, that the river carries what it is given.", id, i, e.rev/(i+2)%40)
	}
	return out
}

func event(id int, op string, e edition) *kgo.Record {
	value := fmt.Sprintf(`{"before":null,"after":{"id":%d,"rev":%d,"parts":%d,"body":%q},"source":{"connector":"postgresql","lsn":%d,"ts_ms":1700000000000},"op":%q,"ts_ms":1700000000000}`,
		id, e.rev, e.parts, strings.Join(e.texts(id), "\n\n"), e.rev, op)
	return &kgo.Record{Key: key(id), Value: []byte(value)}
}

// remove deletes the document as Debezium does: an event, then a tombstone.
func (l *load) remove(id int) []*kgo.Record {
	delete(l.live, id)
	value := fmt.Sprintf(`{"before":{"id":%d},"after":null,"source":{"connector":"postgresql","lsn":%d,"ts_ms":1700000000000},"op":"d","ts_ms":1700000000000}`, id, l.rev)
	return []*kgo.Record{{Key: key(id), Value: []byte(value)}, {Key: key(id)}}
}

func key(id int) []byte { return fmt.Appendf(nil, `{"id":%d}`, id) }

// model is what every target must hold of the source's last state: one line a row, sorted.
func (l *load) model() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for id, e := range l.live {
		lines = append(lines, row{table: "docs", id: int64(id), rev: int64(e.rev), parts: int64(e.parts)}.declared())
		for _, text := range e.texts(id) {
			lines = append(lines, row{table: "chunks", id: int64(id), rev: int64(e.rev), text: text}.declared())
		}
	}
	slices.Sort(lines)
	return lines
}
