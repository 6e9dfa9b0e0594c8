package kafka_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/freshet-dev/freshet/stream"
)

// TestPublisherEndsWithoutABroker: what was sent to a broker that is gone since is not waited for when the caller ends.
func TestPublisherEndsWithoutABroker(t *testing.T) {
	play(t, func(s *scene) {
		gone := &goneWhenSent{link: &link{dial: s.dial}, sent: make(chan struct{})}
		c := s.cluster
		c.Dial, c.Hooks = gone.link.open, []kgo.Hook{gone}
		p, err := c.OpenPublisher(s.source.Topic)
		if err != nil {
			s.Fatal(err)
		}
		defer p.Close()
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		go func() { <-gone.sent; cancel() }()
		err = p.Publish(ctx, []stream.Record{fileRecord("00.md", "one")})
		if !errors.Is(err, context.Canceled) || stream.KindOf(err) != stream.Transient {
			s.Errorf("it says: %v", err)
		}
	})
}

// goneWhenSent cuts a client off as soon as it has sent records.
type goneWhenSent struct {
	link *link
	sent chan struct{}
	once sync.Once
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (g *goneWhenSent) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if kmsg.Key(key) == kmsg.Produce {
		g.link.sever()
		g.once.Do(func() { close(g.sent) })
	}
}
