package kafka_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// saysAll checks an error's kind, and that its message says all of the words.
func saysAll(t *testing.T, err error, kind stream.ErrorKind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if stream.KindOf(err) != kind {
		t.Errorf("kind %v, want %v: %v", stream.KindOf(err), kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the message does not say %q: %v", w, err)
		}
	}
}

func TestTopics(t *testing.T) {
	play(t, func(s *scene) {
		if s.topics.Partitions != partitions || s.topics.Generation.Generation != 1 || s.topics.Retention.Delete != kafka.DefaultRetention.Delete {
			t.Errorf("topics %+v", s.topics)
		}
		before := s.topics
		s.ensure()
		if s.topics.RowsID != before.RowsID || s.topics.ChangelogID != before.ChangelogID || s.topics.Generation.Created != before.Generation.Created {
			t.Errorf("asked again: %+v, before %+v", s.topics, before)
		}
		configs, err := s.admin().DescribeTopicConfigs(s.Context(), "lines.rows", "lines.changelog")
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range configs {
			held := map[string]string{}
			for _, kv := range c.Configs {
				held[kv.Key] = kv.MaybeValue()
			}
			for k, want := range map[string]string{"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime",
				"min.compaction.lag.ms": "86400000", "delete.retention.ms": "604800000", "max.message.bytes": "16777216"} {
				if held[k] != want {
					t.Errorf("%s has %s = %q, want %q", c.Name, k, held[k], want)
				}
			}
		}
	})
}

func TestTopicsThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		source  kafka.Source
		prepare func(s *scene)
		words   []string
	}{
		"no such topic": {source: kafka.Source{Topic: "shop.public.orders"},
			words: []string{"read topic shop.public.orders", "does not exist", "start the connector"}},
		"another count declared": {source: kafka.Source{Topic: "lines.files.page", Ours: true, Planned: 8},
			words: []string{"it has 3 partitions", "kafka.partitions: 8", "remove the declaration"}},
		"the source was given more partitions (F29)": {source: kafka.Source{Topic: "lines.files.page", Ours: true}, prepare: func(s *scene) {
			if _, err := s.admin().UpdatePartitions(s.Context(), 5, "lines.files.page"); err != nil {
				s.Fatal(err)
			}
		}, words: []string{"compare topic lines.files.page", "has 5 partitions, it had 3", "freshet reset"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				if c.prepare != nil {
					c.prepare(s)
				}
				_, err := s.cluster.EnsureTopics(s.Context(), "lines", c.source)
				saysAll(t, err, stream.Usage, c.words...)
			})
		})
	}
}

// TestTopicThatIsNotMade: what the brokers don't allow needs a person; brokers that are busy or go away do not.
func TestTopicThatIsNotMade(t *testing.T) {
	for name, c := range map[string]struct {
		answer *kerr.Error // nil: the connection is cut
		kind   stream.ErrorKind
	}{
		"not allowed":     {kerr.TopicAuthorizationFailed, stream.Usage},
		"busy":            {kerr.ThrottlingQuotaExceeded, stream.Transient},
		"connection lost": {nil, stream.Transient},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				if c.answer != nil {
					s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: c.answer, Count: -1})
				} else {
					s.broker.Cluster().ControlKey(int16(kmsg.CreateTopics), func(kmsg.Request) (kmsg.Response, error, bool) {
						s.broker.Cluster().KeepControl()
						return nil, net.ErrClosed, true
					})
				}
				ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
				defer cancel()
				_, err := s.cluster.EnsureTopics(ctx, "other", kafka.Source{Topic: "other.files.page", Ours: true})
				saysAll(t, err, c.kind, "create topic other.")
			})
		})
	}
}

// TestTopicThatIsNotHeardOf: a broker that has not heard yet of a topic that another one made is asked again; until then it has no ID.
func TestTopicThatIsNotHeardOf(t *testing.T) {
	play(t, func(s *scene) {
		s.broker.Cluster().ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
			s.broker.Cluster().KeepControl()
			if r.(*kmsg.CreateTopicsRequest).Topics[0].Topic == "other.changelog" { // by then the rows topic was seen
				<-time.After(10 * time.Second) // until what the client knows of it is old
				s.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "other.rows", Err: kerr.UnknownTopicOrPartition, Count: 3})
			}
			return nil, nil, false
		})
		got, err := s.cluster.EnsureTopics(s.Context(), "other", kafka.Source{Topic: "other.files.page", Ours: true})
		if err != nil || strings.Trim(got.ChangelogID, "A=") == "" || strings.Trim(got.RowsID, "A=") == "" {
			t.Errorf("the changelog's ID is %q, the rows topic's %q (%v)", got.ChangelogID, got.RowsID, err)
		}
	})
}

// TestDefaultPartitions is what a flow of its own topic gets that declares none.
func TestDefaultPartitions(t *testing.T) {
	play(t, func(s *scene) {
		got, err := s.cluster.EnsureTopics(s.Context(), "other", kafka.Source{Topic: "other.files.page", Ours: true})
		if err != nil || got.Partitions != kafka.DefaultPartitions {
			t.Errorf("%d partitions (%v), want %d", got.Partitions, err, kafka.DefaultPartitions)
		}
	})
}

// TestAbsentBroker: one message within ten seconds, whether the connection is refused or nobody answers.
func TestAbsentBroker(t *testing.T) {
	for name, dial := range map[string]func(ctx context.Context) (net.Conn, error){
		"refused": func(context.Context) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "virtual", Err: net.ErrClosed}
		},
		"silent": func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.cluster.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }
				began := time.Now()
				err := s.cluster.Check(s.Context())
				saysAll(t, err, stream.Transient, "connect to Kafka at", "no broker answered", "kafka.brokers")
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("it took %s", d)
				}
			})
		})
	}
}

// TestCheckWantsTransactionVersion2: the in-process broker says no feature, and is trusted; a cluster that says none is
// refused.
func TestCheckWantsTransactionVersion2(t *testing.T) {
	play(t, func(s *scene) {
		if err := s.cluster.Check(s.Context()); err != nil {
			t.Error(err)
		}
		s.cluster.Embedded = false
		s.broker.Cluster().ControlKey(int16(kmsg.ApiVersions), func(req kmsg.Request) (kmsg.Response, error, bool) {
			s.broker.Cluster().KeepControl()
			resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
			for key := range int16(100) {
				if kmsg.RequestForKey(key) != nil {
					k := kmsg.NewApiVersionsResponseApiKey()
					k.ApiKey, k.MaxVersion = key, kmsg.RequestForKey(key).MaxVersion()
					resp.ApiKeys = append(resp.ApiKeys, k)
				}
			}
			f := kmsg.NewApiVersionsResponseFinalizedFeature()
			f.Name, f.MaxVersionLevel = "transaction.version", 1
			resp.FinalizedFeatures = append(resp.FinalizedFeatures, f)
			return resp, nil, true
		})
		saysAll(t, s.cluster.Check(s.Context()), stream.Usage, "transaction.version is below 2", "kafka-features.sh", "--feature transaction.version=2")
	})
}
