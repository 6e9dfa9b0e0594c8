package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// MaxMessageBytes is what one record batch of the flow's own topics may have.
const MaxMessageBytes = 16 << 20

// MaxRecord is what one record may have: a batch less its framing.
const MaxRecord = MaxMessageBytes - 64<<10

// Names of a flow's own topics and groups.
func rowsTopic(flow string) string      { return flow + ".rows" }
func changelogTopic(flow string) string { return flow + ".changelog" }
func metaTopic(flow string) string      { return flow + ".meta" }

// IntakeTopic is the topic onto which a flow's intake writes its sources' records.
func IntakeTopic(flow string) string { return flow + ".intake" }

// IntakeGroup is the consumer group of a flow's intake.
func IntakeGroup(flow string) string { return flow + ".intake" }

// ProcessorGroup is the consumer group of a flow's processors.
func ProcessorGroup(flow string) string { return flow }

// TargetGroup is the consumer group that keeps a target in step.
func TargetGroup(flow, target string) string { return flow + "." + target }

// Retention says how long what was deleted stays visible on the rows topic and the changelog, and how young a record
// is spared by compaction.
type Retention struct {
	Delete        time.Duration // delete.retention.ms
	CompactionLag time.Duration // min.compaction.lag.ms
}

// DefaultRetention is what new topics get.
var DefaultRetention = Retention{Delete: 7 * 24 * time.Hour, CompactionLag: 24 * time.Hour}

// Topics are a flow's topics as they are on the cluster.
type Topics struct {
	Flow        string
	Source      string // what processors read: the source's topic, or that of the intake
	Partitions  int32
	Inputs      []Input // the sources' own topics: one, or those that the intake reads
	SourceID    string  // topic IDs, as text
	RowsID      string
	ChangelogID string
	Retention   Retention
	Generation  schemas.Generation
	Recorded    schemas.Topics // what the flow's work belongs to; see Watch
}

// Input is a source's topic as it is on the cluster.
type Input struct {
	Topic      string
	ID         string
	Partitions int32
}

// Intake reports whether the flow reads its sources through an intake.
func (t Topics) Intake() bool { return t.Source == IntakeTopic(t.Flow) }

// Input returns what a source's topic is; the zero Input when the flow doesn't read it.
func (t Topics) Input(topic string) (in Input) {
	for _, i := range t.Inputs {
		if i.Topic == topic {
			in = i
		}
	}
	return in
}

// compacted are the settings of the rows topic and the changelog (DESIGN.md, The flow's own topics).
func compacted(r Retention, replicas int16) map[string]*string {
	ms := func(d time.Duration) *string { return kadm.StringPtr(strconv.FormatInt(d.Milliseconds(), 10)) }
	settings := map[string]*string{
		"cleanup.policy":                 kadm.StringPtr("compact"),
		"message.timestamp.type":         kadm.StringPtr("LogAppendTime"),
		"min.compaction.lag.ms":          ms(r.CompactionLag),
		"delete.retention.ms":            ms(r.Delete),
		"unclean.leader.election.enable": kadm.StringPtr("false"),
		"max.message.bytes":              kadm.StringPtr(strconv.Itoa(MaxMessageBytes)),
	}
	if replicas >= 3 {
		settings["min.insync.replicas"] = kadm.StringPtr("2")
	}
	return settings
}

// IntakeRetention is how long the intake topic keeps its records: longer than any time for which the processors may be
// away. It counts from when a record was taken in.
const IntakeRetention = 30 * 24 * time.Hour

// kept are the settings of the intake topic.
func kept(replicas int16) map[string]*string {
	settings := compacted(DefaultRetention, replicas)
	delete(settings, "min.compaction.lag.ms")
	delete(settings, "delete.retention.ms")
	settings["cleanup.policy"] = kadm.StringPtr("delete")
	settings["retention.ms"] = kadm.StringPtr(strconv.FormatInt(IntakeRetention.Milliseconds(), 10))
	return settings
}

// Source says what is known of the topic that a flow's processors read.
type Source struct {
	Topic   string
	Ours    bool  // Freshet's own watcher or intake writes it, so Freshet creates it
	Planned int32 // declared number of partitions; 0: none declared
	// From are the topics that the intake reads to write this one; nil: it is the source's own. Planned is theirs only
	// where they are created.
	From []Source

	created int32 // partitions that it is created with; 0: Planned, else the default
}

// inputs are the topics of the sources themselves.
func (s Source) inputs() []Source {
	if s.From == nil {
		return []Source{s}
	}
	all := slices.Clone(s.From)
	for i := range all {
		all[i].created = s.Planned
	}
	return all
}

// DefaultPartitions is the partition count of a flow that declares none.
const DefaultPartitions = 8

// EnsureTopics creates the flow's topics that are absent, and reads what they are. Topics that are not those that the flow
// began with are refused (kind Usage).
func (c Cluster) EnsureTopics(ctx context.Context, flow string, source Source) (t Topics, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err = c.admin(func(adm *kadm.Client) error {
		held, err := c.recorded(ctx, adm, flow, source)
		if err != nil {
			return err
		}
		if t, err = ensureTopics(ctx, adm, flow, source); err != nil {
			return err
		}
		if t.Generation, err = c.ensureGeneration(ctx, flow); err != nil {
			return err
		}
		if err := c.takeAnew(ctx, adm, flow, source, held); err != nil {
			return err
		}
		t.Recorded, err = c.record(ctx, adm, flow, source, held, t.Generation.Generation, nil)
		return err
	})
	return t, err
}

func ensureTopics(ctx context.Context, adm *kadm.Client, flow string, source Source) (Topics, error) {
	t := Topics{Flow: flow, Source: source.Topic}
	brokers, err := adm.ListBrokers(ctx)
	if err != nil {
		return t, &stream.Error{Op: "list brokers", Kind: stream.Transient, Err: err}
	}
	replicas := int16(min(3, len(brokers)))
	if err := sameSource(ctx, adm, t); err != nil {
		return t, err
	}
	if t.Partitions, err = ensureSource(ctx, adm, source, replicas); err != nil {
		return t, err
	}
	own := compacted(DefaultRetention, replicas)
	for _, topic := range []struct {
		name       string
		partitions int32
	}{{rowsTopic(flow), t.Partitions}, {changelogTopic(flow), t.Partitions}, {metaTopic(flow), 1}} {
		if err := create(ctx, adm, topic.name, topic.partitions, replicas, own); err != nil {
			return t, err
		}
	}
	return t, t.describe(ctx, adm, source)
}

// listedWithin is how long brokers may take to hear of a topic that was made.
const listedWithin = 30 * time.Second

// offsetsWithin is how long a broker may take to make its offsets topic, when it is first asked for offsets.
const offsetsWithin = time.Minute

// sameSource refuses a flow whose processors have read another topic so far: where they are means nothing in this one.
func sameSource(ctx context.Context, adm *kadm.Client, t Topics) error {
	held, err := groupOffsets(ctx, adm, ProcessorGroup(t.Flow))
	if err != nil {
		return err
	}
	for topic := range held {
		if topic != t.Source {
			return stream.Errorf(stream.Usage, "read topic "+t.Source, "flow %s has read topic %s so far, and where it is there means nothing in "+
				"this one (a single source is read directly, several through an intake topic); to begin again from its sources, run: freshet reset -f FLOW", t.Flow, topic)
		}
	}
	return nil
}

// groupOffsets returns what a group has committed: nothing for a group that never was.
func groupOffsets(ctx context.Context, adm *kadm.Client, group string) (kadm.OffsetResponses, error) {
	within, cancel := context.WithTimeout(ctx, offsetsWithin)
	defer cancel()
	held, err := adm.FetchOffsets(within, group)
	for kerr.IsRetriable(err) && pause(within, 100*time.Millisecond) == nil {
		held, err = adm.FetchOffsets(within, group)
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return nil, &stream.Error{Op: "read the offsets of group " + group, Kind: stream.Transient, Err: err}
	}
	return held, nil
}

func ensureSource(ctx context.Context, adm *kadm.Client, source Source, replicas int16) (int32, error) {
	if source.From != nil {
		for _, from := range source.inputs() {
			if _, err := ensureSource(ctx, adm, from, replicas); err != nil {
				return 0, err
			}
		}
	}
	details, err := adm.ListTopics(ctx, source.Topic)
	if err != nil {
		return 0, &stream.Error{Op: "look up topic " + source.Topic, Kind: stream.Transient, Err: err}
	}
	d := details[source.Topic]
	switch {
	case d.Err == nil && len(d.Partitions) > 0:
		n := int32(len(d.Partitions))
		if source.Planned != 0 && source.Planned != n && source.From != nil {
			return 0, stream.Errorf(stream.Usage, "read topic "+source.Topic, "it has %d partitions but the flow file declares "+
				"kafka.partitions: %d; to begin again with that many, run: freshet reset -f FLOW", n, source.Planned)
		}
		if source.Planned != 0 && source.Planned != n {
			return 0, stream.Errorf(stream.Usage, "read topic "+source.Topic, "it has %d partitions but the flow file declares "+
				"kafka.partitions: %d; a flow that reads its topic directly takes the topic's count: remove the declaration", n, source.Planned)
		}
		return n, nil
	case !source.Ours:
		return 0, stream.Errorf(stream.Usage, "read topic "+source.Topic, "it does not exist; start the connector that writes it, or correct the topic's name in the flow file")
	}
	n := cmp.Or(source.Planned, source.created, DefaultPartitions)
	settings := compacted(DefaultRetention, replicas)
	if source.From != nil {
		settings = kept(replicas)
	} else {
		delete(settings, "message.timestamp.type")
	}
	return n, create(ctx, adm, source.Topic, n, replicas, settings)
}

// create creates a topic and waits until its leaders are known.
func create(ctx context.Context, adm *kadm.Client, topic string, partitions int32, replicas int16, settings map[string]*string) error {
	op := "create topic " + topic
	_, err := adm.CreateTopic(ctx, partitions, replicas, settings, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		kind := stream.Transient
		if answer := (*kerr.Error)(nil); errors.As(err, &answer) && !answer.Retriable {
			kind = stream.Usage // the brokers don't want to
		}
		return &stream.Error{Op: op, Kind: kind, Err: err}
	}
	for {
		details, err := adm.ListTopics(ctx, topic)
		if d := details[topic]; err == nil && d.Err == nil && len(d.Partitions) > 0 && leaders(d) {
			if int32(len(d.Partitions)) != partitions {
				return stream.Errorf(stream.Usage, op, "it exists with %d partitions where the source has %d; if the source's "+
					"partition count was changed, run: freshet reset -f FLOW", len(d.Partitions), partitions)
			}
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return &stream.Error{Op: op, Kind: stream.Transient, Err: fmt.Errorf("waiting for its leaders: %w", err)}
		}
	}
}

func leaders(d kadm.TopicDetail) bool {
	for _, p := range d.Partitions {
		if p.Leader < 0 {
			return false
		}
	}
	return true
}

// listed describes topics that exist. A broker may not have heard yet of one that was just made.
func listed(ctx context.Context, adm *kadm.Client, topics []string) (kadm.TopicDetails, error) {
	within, cancel := context.WithTimeout(ctx, listedWithin)
	defer cancel()
	for {
		details, err := adm.ListTopics(within, topics...)
		if err == nil {
			err = details.Error()
		}
		if err == nil || !kerr.IsRetriable(err) || pause(within, 100*time.Millisecond) != nil {
			return details, err
		}
	}
}

// describe reads the topic IDs and the retention.
func (t *Topics) describe(ctx context.Context, adm *kadm.Client, source Source) error {
	topics := []string{t.Source, rowsTopic(t.Flow), changelogTopic(t.Flow)}
	for _, in := range source.From {
		topics = append(topics, in.Topic)
	}
	details, err := listed(ctx, adm, topics)
	if err != nil {
		return &stream.Error{Op: "look up the topics of flow " + t.Flow, Kind: stream.Transient, Err: err}
	}
	t.SourceID = details[t.Source].ID.String()
	for _, in := range source.inputs() {
		d := details[in.Topic]
		t.Inputs = append(t.Inputs, Input{in.Topic, d.ID.String(), int32(len(d.Partitions))})
	}
	t.RowsID, t.ChangelogID = details[rowsTopic(t.Flow)].ID.String(), details[changelogTopic(t.Flow)].ID.String()
	configs, err := adm.DescribeTopicConfigs(ctx, changelogTopic(t.Flow))
	if err != nil {
		return &stream.Error{Op: "read the settings of the changelog", Kind: stream.Transient, Err: err}
	}
	t.Retention = DefaultRetention
	for _, c := range configs {
		for _, kv := range c.Configs {
			if kv.Key == "delete.retention.ms" && kv.Value != nil {
				if ms, err := strconv.ParseInt(*kv.Value, 10, 64); err == nil {
					t.Retention.Delete = time.Duration(ms) * time.Millisecond
				}
			}
		}
	}
	return nil
}

// Ends are offsets by partition.
type Ends map[int32]int64

// Sorted returns the partitions in order.
func (e Ends) Sorted() []int32 {
	out := make([]int32, 0, len(e))
	for p := range e {
		out = append(out, p)
	}
	sort.Slice(out, func(i, j int) bool { return out[i] < out[j] })
	return out
}

func ends(listed kadm.ListedOffsets, err error) (Ends, error) {
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, &stream.Error{Op: "list offsets", Kind: stream.Transient, Err: err}
	}
	out := Ends{}
	listed.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out, nil
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
