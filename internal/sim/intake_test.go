//go:build synctests

package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// Topics of the sources. A flow of one source reads pages alone.
const (
	pages   = flowName + ".files.page"
	tickets = "shop.tickets"
)

// intakeSteps are the points of a transaction of the intake.
var intakeSteps = []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11"}

// intakeKinds are the faults that befall the intake alone; those at the points of a transaction befall it too.
var intakeKinds = []kind{
	{"broker answers", []string{"intake", "intake: offsets", "intake: end"}, refused},
	{"broker answers", []string{"intake", "intake: offsets", "intake: end"}, refused},
	{"offsets of the intake are gone", whileDown, down(untaken)},
	{"intake topic is created anew (F21)", whileDown, down(recreated(".intake"))},
}

// place is where a document's changes lie in its source.
type place struct {
	topic     string
	partition int32
	key       string // of a ticket's records
}

// sources are the topics of the sources, with their numbers of partitions.
func (w *world) sources() map[string]int32 {
	if w.several {
		return map[string]int32{pages: 3, tickets: 2}
	}
	return map[string]int32{pages: w.partitions}
}

// draftOf is a document of a flow of two sources: its partition follows from its ID, not from where its source lies.
func draftOf(partition int32, i int, partitions int32) *draft {
	hash := kgo.StickyKeyPartitioner(nil).ForTopic("")
	for n := i * 1000; ; n++ {
		d := &draft{id: fmt.Sprintf("page/%d/%d.md", partition, n), partition: partition, lies: place{topic: pages, partition: int32(i % 3)}}
		if i%2 == 1 {
			d.id = fmt.Sprintf("ticket/%d-%d", partition, n)
			d.lies = place{topic: tickets, partition: int32(i / 2 % 2), key: fmt.Sprintf(`{"no":%d,"shop":"%d"}`, n, partition)}
		}
		if hash.Partition(&kgo.Record{Key: []byte(d.id)}, int(partitions)) == int(partition) {
			return d
		}
	}
}

// home is the document's name as its source has it.
func (d *draft) home() string {
	if d.lies.key != "" {
		return d.lies.topic + d.lies.key
	}
	return d.lies.topic + d.id
}

// ticket is a change as Debezium writes it.
func (c change) ticket() stream.Record {
	key := []byte(c.lies.key)
	after, err := json.Marshal(map[string]string{"content": c.content})
	if err != nil {
		panic(err) // text can be written
	}
	switch {
	case c.bare:
		return stream.Record{Key: key}
	case c.op == opDelete:
		return stream.Record{Key: key, Value: []byte(`{"op":"d","after":null}`)}
	case c.op == opRefused: // the new state is missing
		return stream.Record{Key: key, Value: []byte(`{"op":"u","after":null}`)}
	}
	return stream.Record{Key: key, Value: fmt.Appendf(nil, `{"op":"u","after":%s}`, after)}
}

// decoders are those of the sources, by name. A ticket is named by a formula of two columns.
func decoders() map[string]stream.Decoder {
	fields := []stream.Field{{Name: "content", Type: stream.TypeString}}
	named := schemas.NewDebezium("ticket", fields, stream.Settings{}).Named(func(key stream.Value) (string, error) {
		return fmt.Sprintf("%s-%d", key.Field("shop").Str(), key.Field("no").Int()), nil
	})
	return map[string]stream.Decoder{"page": schemas.NewFiles("page"), "ticket": named}
}

func (w *world) decoder() stream.Decoder {
	if w.several {
		return schemas.NewIntake(decoders())
	}
	return schemas.NewFiles("page")
}

// reads is the name of the flow's source; "": it has several.
func (w *world) reads() string {
	if w.several {
		return ""
	}
	return "page"
}

// intake is a process's replica of the intake.
func (p *process) intake(cluster kafka.Cluster) *kafka.Intake {
	all := decoders()
	cluster.Hooks = append(cluster.Hooks[:len(cluster.Hooks):len(cluster.Hooks)], polled{p})
	return kafka.NewIntake(kafka.IntakeConfig{Cluster: cluster, Topics: p.w.topics, TransactionalID: fmt.Sprint(flowName, ".intake.", p.replica),
		Instance: p.instance(), MaxPoll: p.w.maxPoll, At: p.atIntake, Sources: map[string]kafka.IntakeSource{
			pages: {Name: "page", Decoder: all["page"]}, tickets: {Name: "ticket", Decoder: all["ticket"]}}})
}

// atIntake is called by the intake at the points of a transaction.
func (p *process) atIntake(point string) { p.meets(point, "I1", &p.polled) }

// polled tells a process which partitions the next transaction of its intake is about.
type polled struct{ p *process }

// OnFetchRecordUnbuffered implements kgo.HookFetchRecordUnbuffered.
func (h polled) OnFetchRecordUnbuffered(r *kgo.Record, taken bool) {
	if home, ok := h.p.w.homes[r.Topic+string(r.Key)]; ok && taken {
		h.p.mu.Lock()
		defer h.p.mu.Unlock()
		h.p.polled.next[home] = true
	}
}

// taken follows the intake topic, record by record.
type taken struct {
	next map[int32]int64
	ends map[int32]int64           // behind the last record of a source, by partition
	seen map[string]map[int64]bool // offsets, by source partition
	last map[string]int64          // offsets, by document
}

func newTaken() *taken {
	return &taken{next: map[int32]int64{}, ends: map[int32]int64{}, seen: map[string]map[int64]bool{}, last: map[string]int64{}}
}

// record checks one record: it comes once, in its document's partition, and in its source's order.
func (w *world) takenIn(t *taken, r *kgo.Record) {
	if r.Attrs.IsControl() {
		return
	}
	at := fmt.Sprintf("intake %d@%d", r.Partition, r.Offset)
	in, err := schemas.DecodeIntake(streamRecord(r))
	if err != nil {
		w.fault("%s: %v", at, err)
		return
	}
	o := in.Original
	from := fmt.Sprintf("%s/%d", o.Topic, o.Partition)
	if t.seen[from] == nil {
		t.seen[from] = map[int64]bool{}
	}
	if t.seen[from][o.Offset] {
		w.fault("%s: duplicated: %s@%d is taken in again", at, from, o.Offset)
	}
	if home := w.homes[o.Topic+string(o.Key)]; home != r.Partition {
		w.fault("%s: document %s lies in partition %d, want %d", at, in.Document, r.Partition, home)
	}
	if last, ok := t.last[in.Document]; ok && last > o.Offset {
		w.fault("%s: reordered: document %s has %s@%d after %d", at, in.Document, from, o.Offset, last)
	}
	t.seen[from][o.Offset], t.last[in.Document], t.ends[r.Partition] = true, o.Offset, r.Offset+1
}

// inputEnds is where each partition that the processors read ends, control records left out; why: not all of the sources
// is taken in.
func (w *world) inputEnds() (ends map[int32]int64, why string) {
	if !w.several {
		ends = map[int32]int64{}
		for _, i := range w.broker.PartitionInfos(w.source.Topic) {
			ends[i.Partition] = i.HighWatermark
		}
		return ends, ""
	}
	g := w.broker.GroupInfo(kafka.IntakeGroup(flowName))
	for topic := range w.sources() {
		for _, i := range w.broker.PartitionInfos(topic) {
			if i.HighWatermark > 0 && (g == nil || g.Commits[topic][i.Partition].Offset < i.HighWatermark) {
				return nil, fmt.Sprintf("lost: the intake has not taken in all of %s/%d, which ends at %d", topic, i.Partition, i.HighWatermark)
			}
		}
	}
	for _, i := range w.broker.PartitionInfos(w.source.Topic) {
		if i.LastStableOffset < i.HighWatermark {
			return nil, fmt.Sprintf("a transaction is open on intake partition %d at %d", i.Partition, i.LastStableOffset)
		}
	}
	if err := w.read(w.source.Topic, w.taken.next, func(r *kgo.Record) { w.takenIn(w.taken, r) }); err != nil {
		return nil, err.Error()
	}
	return maps.Clone(w.taken.ends), ""
}

// complete checks that every record of the sources was taken in.
func (w *world) complete() {
	if !w.several {
		return
	}
	for topic := range w.sources() {
		for _, i := range w.broker.PartitionInfos(topic) {
			from := fmt.Sprintf("%s/%d", topic, i.Partition)
			if n := int64(len(w.taken.seen[from])); n != i.HighWatermark {
				w.fault("lost: of %s, %d records were taken in, want %d", from, n, i.HighWatermark)
			}
		}
	}
	for doc := range w.taken.last {
		if !strings.HasPrefix(doc, "page/") && !strings.HasPrefix(doc, "ticket/") {
			w.fault("the intake topic has a document %q", doc)
		}
	}
}
