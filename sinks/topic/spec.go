package topic

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka/access"
)

const configuring = "configure target topic"

// Spec declares the target "topic".
func Spec() stream.SinkSpec {
	return stream.SinkSpec{
		Name: "topic",
		Doc: "Plain keyed records on compacted Kafka topics, one for each table; rows and offset in one transaction. Consumers that " +
			"read committed records see a document's rows of a table whole, at each partition's last stable offset.",
		Settings: append([]stream.Setting{
			{Name: "brokers", Kind: stream.SettingStrings, Doc: "host:port of brokers of the cluster; the flow's own when absent, and then reached as they are."},
			{Name: "format", Kind: stream.SettingString, Enum: []string{"json", "avro"}, Default: stream.StringOf("json"),
				Doc: "What a record's value is: a JSON object, or Avro with its schema in a header."},
			{Name: "prefix", Kind: stream.SettingString, Doc: "Put before the name of every topic, also of those for bookkeeping."},
		}, access.Settings()...),
		TableSettings: []stream.Setting{{Name: "table", Kind: stream.SettingString, Doc: "Name of the topic; the table's own name when absent."}},
		Guarantees:    stream.Guarantees{Transactional: true, AtomicDocuments: true, Vectors: true, Deletes: true},
		New:           New,
	}
}

// Sink keeps tables on topics. Partitions are written concurrently, each by a client of its own.
type Sink struct {
	brokers      []string
	home         bool // the brokers are the flow's
	access       stream.Settings
	embedded     bool
	partitions   int32    // that every topic has at least
	reads        []string // topics of the flow, where no target may write
	batchBytes   int32    // what every topic takes at once; set by Open
	prefix       string
	tables       []*table
	names        names
	salt         string // of transactional IDs, see transactionalID
	patience     time.Duration
	dial         access.Dial // below TLS; nil: TCP
	flow, target string      // set by Open

	mu      sync.Mutex
	cl      *kgo.Client // for reading and administration
	tenures map[int32]*tenure

	growing sync.Mutex // partitions are added by one goroutine at a time
}

var (
	_ stream.Sink      = (*Sink)(nil)
	_ stream.Reader    = (*Sink)(nil)
	_ stream.Inspector = (*Sink)(nil)
	_ stream.Rounder   = (*Sink)(nil)
)

// New checks names, types and settings and returns a sink that is not yet open. It does no I/O. Faults have kind Usage.
func New(c stream.SinkConfig) (stream.Sink, error) {
	s := &Sink{brokers: c.Settings.Strings("brokers"), partitions: max(1, c.Cluster.Partitions), prefix: c.Settings.String("prefix"), access: c.Settings,
		reads: c.Cluster.Topics, batchBytes: maxMessageBytes, patience: patience, tenures: map[int32]*tenure{}}
	if s.home = len(s.brokers) == 0; s.home {
		s.brokers, s.embedded, s.access = c.Cluster.Brokers, c.Cluster.Embedded, c.Cluster.Access
	}
	if err := s.checkAccess(c.Settings); err != nil {
		return nil, stream.Errorf(stream.Usage, configuring, "%w", err)
	}
	for _, b := range s.brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			return nil, stream.Errorf(stream.Usage, configuring, "setting brokers: %q is not of the form host:port", b)
		}
	}
	if s.embedded {
		s.salt = "." + rand.Text()
	}
	taken := map[string]string{}
	for i, declared := range c.Tables {
		t, err := newTable(s.prefix, c.Settings.String("format"), i, declared)
		if err != nil {
			return nil, err
		}
		if other, found := taken[t.topic]; found {
			return nil, stream.Errorf(stream.Usage, configuring, "tables %s and %s would both be kept on topic %s; give one of them another "+
				"name by its setting `table`", other, t.Name, t.topic)
		}
		taken[t.topic] = t.Name
		s.tables = append(s.tables, t)
	}
	return s, nil
}

// checkAccess refuses settings that say how brokers are reached without saying which, and those that don't go together.
func (s *Sink) checkAccess(set stream.Settings) error {
	if !s.home {
		return access.Check(set)
	}
	for _, one := range access.Settings() {
		if !set.Values.Field(one.Name).IsNull() {
			return fmt.Errorf("`%s` is for brokers that the target names; the flow's own are reached as `kafka` says", one.Name)
		}
	}
	return nil
}

// op says what is being done, for errors.
func (s *Sink) op(doing string) string { return doing + " target " + s.target }

func (s *Sink) table(name string) *table {
	if i := slices.IndexFunc(s.tables, func(t *table) bool { return t.Name == name }); i >= 0 {
		return s.tables[i]
	}
	return nil
}

// Close ends all connections. What a step under way has not committed is aborted by the partition's next writer.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, t := range s.tenures {
		t.close()
		delete(s.tenures, p)
	}
	if s.cl != nil {
		s.cl.Close()
		s.cl = nil
	}
	return nil
}

// Release gives the partition up; its epoch stays. See stream.Sink.
func (s *Sink) Release(partition int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tenures[partition]; t != nil {
		t.close()
		delete(s.tenures, partition)
	}
}

// client returns the client for reading and administration, and makes it at first.
func (s *Sink) client() (*kgo.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cl != nil {
		return s.cl, nil
	}
	cl, err := s.newClient()
	s.cl = cl
	return cl, err
}

// held returns the tenure of a partition; one that this sink does not hold is refused.
func (s *Sink) held(doing string, partition int32) (*tenure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tenures[partition]; t != nil && !t.over {
		return t, nil
	}
	return nil, s.lost(doing, partition)
}

func (s *Sink) lost(doing string, partition int32) error {
	return stream.Errorf(stream.Fenced, s.op(doing), "partition %d is not this writer's, or the batch does not follow what is applied", partition)
}

// Round passes columns through what a record's value is. See stream.Rounder.
func (s *Sink) Round(name string, columns []stream.Value) ([]stream.Value, error) {
	t := s.table(name)
	if t == nil {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "table %q is not one of this target's", name)
	}
	err := t.fits(columns)
	var value []byte
	if err == nil {
		value, err = t.encode(columns)
	}
	if err == nil {
		columns, err = t.decode(value)
	}
	if err != nil {
		return nil, stream.Errorf(stream.Usage, s.op("read"), "table %s: %w", name, err)
	}
	return columns, nil
}

// Inspect reads a partition's place. See stream.Inspector.
func (s *Sink) Inspect(ctx context.Context, partition int32) (stream.Applied, error) {
	places, err := s.readPlaces(ctx, []int32{partition})
	return places[partition].applied(), s.classed("inspect", err)
}
