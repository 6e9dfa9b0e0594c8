package kafka_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// intakePatience is when a test of the intake gives up.
const intakePatience = 2 * time.Minute

// sourceNames are the sources that the intake of a test reads.
var sourceNames = []string{"note", "page"}

func sourceTopic(source string) string { return "lines.files." + source }

// intakeScene is a scene whose flow reads two topics through an intake.
type intakeScene struct {
	*scene
	mu        sync.Mutex
	published map[string]int // records, by topic
}

func withIntake(s *scene) *intakeScene {
	s.Helper()
	s.source = kafka.Source{Topic: kafka.IntakeTopic("lines"), Ours: true, Planned: partitions}
	for _, name := range sourceNames {
		s.source.From = append(s.source.From, kafka.Source{Topic: sourceTopic(name), Ours: true})
	}
	s.ensure()
	return &intakeScene{scene: s, published: map[string]int{}}
}

// intake is a running replica of the intake.
type intake struct {
	*kafka.Intake
	link   *link
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// take starts a replica of the intake.
func (s *intakeScene) take(id string, change ...func(*kafka.IntakeConfig)) *intake {
	in := &intake{link: &link{dial: s.dial}, done: make(chan struct{})}
	cluster := s.cluster
	cluster.Dial, cluster.Log = in.link.open, cluster.Log.With("intake", id)
	c := kafka.IntakeConfig{Cluster: cluster, Topics: s.topics, TransactionalID: id, Sources: map[string]kafka.IntakeSource{}}
	for _, name := range sourceNames {
		c.Sources[sourceTopic(name)] = kafka.IntakeSource{Name: name, Decoder: schemas.NewFiles(name)}
	}
	for _, f := range change {
		f(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	in.Intake, in.cancel = kafka.NewIntake(c), cancel
	go func() {
		defer close(in.done)
		in.err = in.Run(ctx)
	}()
	s.Cleanup(func() { in.link.restore(); in.stop() })
	return in
}

func (in *intake) stop() error {
	in.cancel()
	<-in.done
	return in.err
}

// burst publishes changes of both sources: creations, changes and deletes of the same documents.
func (s *intakeScene) burst(round int) {
	s.Helper()
	for _, name := range sourceNames {
		var records []stream.Record
		for i, path := range paths(8) {
			e := schemas.FileEvent{Source: name, Path: path, Content: fmt.Appendf(nil, "%s %d\nround %d", name, i, round)}
			id := name + "/" + path
			if (i+round)%4 == 0 {
				e = schemas.FileEvent{Source: name, Path: path, Op: schemas.FileDelete}
				delete(s.files, id)
			} else {
				s.files[id] = string(e.Content)
			}
			records = append(records, schemas.EncodeFile(e))
		}
		s.send(name, records...)
	}
}

func (s *intakeScene) send(source string, records ...stream.Record) {
	s.Helper()
	p, err := s.cluster.OpenPublisher(sourceTopic(source))
	if err != nil {
		s.Fatal(err)
	}
	defer p.Close()
	if err := p.Publish(s.Context(), records); err != nil {
		s.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.published[sourceTopic(source)] += len(records)
}

// taken waits until the group has committed everything that was published.
func (s *intakeScene) taken() {
	s.Helper()
	s.eventually("everything is taken in", func() bool {
		lags, err := s.cluster.Lags(s.Context(), s.topics, nil)
		if err != nil {
			s.Fatal(err)
		}
		behind := int64(0)
		for _, l := range lags {
			if l.Group == kafka.IntakeGroup("lines") {
				behind += l.Total
			}
		}
		return behind == 0
	})
}

func (s *intakeScene) eventually(what string, done func() bool) {
	s.Helper()
	for deadline := time.Now().Add(intakePatience); !done(); s.wait(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatal("gave up waiting: " + what)
		}
	}
}

// once checks the intake topic: every record of the sources lies there once, and a document's in one partition and in
// the order of its source.
func (s *intakeScene) once() {
	s.Helper()
	offsets, lies, last := map[string][]int64{}, map[string]int32{}, map[string]int64{}
	all := s.records(kafka.IntakeTopic("lines"), kgo.ReadCommitted())
	slices.SortStableFunc(all, func(a, b *kgo.Record) int { return int(a.Partition - b.Partition) })
	for _, r := range all {
		in, err := schemas.DecodeIntake(streamRecord(r))
		if err != nil {
			s.Fatal(err)
		}
		o := in.Original
		from := fmt.Sprintf("%s/%d", o.Topic, o.Partition)
		offsets[from] = append(offsets[from], o.Offset)
		if in.Document == "" {
			continue
		}
		if p, seen := lies[in.Document]; seen && p != r.Partition {
			s.Errorf("document %s lies in partitions %d and %d", in.Document, p, r.Partition)
		}
		if before, seen := last[in.Document]; seen && before >= o.Offset {
			s.Errorf("document %s: offset %d comes after %d", in.Document, o.Offset, before)
		}
		lies[in.Document], last[in.Document] = r.Partition, o.Offset
	}
	total := 0
	for from, got := range offsets {
		slices.Sort(got)
		for i, at := range got {
			if at != int64(i) {
				s.Errorf("%s: offset %d is missing or comes twice: %v", from, i, got)
				break
			}
		}
		total += len(got)
	}
	want := 0
	for _, n := range s.published {
		want += n
	}
	if total != want {
		s.Errorf("%d records were taken in, want %d", total, want)
	}
}

func toKafka(topic string, r stream.Record) *kgo.Record {
	out := &kgo.Record{Topic: topic, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}
