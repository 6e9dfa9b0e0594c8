package kafka

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
)

// ClientMetrics is a hook for Cluster.Hooks that counts what all Kafka clients of a process do, added up: connections,
// requests, bytes and records by broker and topic, and what is buffered now. Its metrics begin with freshet_kafka_.
type ClientMetrics struct {
	*kprom.Metrics
	once sync.Once

	mu   sync.Mutex
	open map[*kgo.Client]bool
}

// NewClientMetrics returns the hook; its metrics are in the registry once the first client is made.
func NewClientMetrics(r *prometheus.Registry) *ClientMetrics {
	m := &ClientMetrics{open: map[*kgo.Client]bool{}}
	m.Metrics = kprom.NewMetrics("freshet_kafka", kprom.Registerer(vectors{r}), kprom.Gatherer(r))
	for name, g := range map[string]struct {
		help string
		of   func(*kgo.Client) int64
	}{
		"buffered_produce_records": {"Records produced and not yet acknowledged.", (*kgo.Client).BufferedProduceRecords},
		"buffered_produce_bytes":   {"Bytes of records produced and not yet acknowledged.", (*kgo.Client).BufferedProduceBytes},
		"buffered_fetch_records":   {"Records fetched and not yet polled.", (*kgo.Client).BufferedFetchRecords},
		"buffered_fetch_bytes":     {"Bytes of records fetched and not yet polled.", (*kgo.Client).BufferedFetchBytes},
	} {
		opts := prometheus.GaugeOpts{Namespace: "freshet_kafka", Name: name, Help: g.help}
		r.MustRegister(prometheus.NewGaugeFunc(opts, func() float64 { return m.sum(g.of) }))
	}
	return m
}

// OnNewClient implements kgo.HookNewClient. The counters are made for the first client and shared by the later ones.
func (m *ClientMetrics) OnNewClient(c *kgo.Client) {
	m.once.Do(func() { m.Metrics.OnNewClient(c) })
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[c] = true
}

// OnClientClosed implements kgo.HookClientClosed. What was counted stays.
func (m *ClientMetrics) OnClientClosed(c *kgo.Client) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.open, c)
}

func (m *ClientMetrics) sum(of func(*kgo.Client) int64) (total float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.open {
		total += float64(of(c))
	}
	return total
}

// vectors registers only collectors of several metrics: the single ones are gauges of the first client's buffers, in
// place of which ClientMetrics adds up those of all clients.
type vectors struct{ prometheus.Registerer }

// MustRegister implements prometheus.Registerer.
func (v vectors) MustRegister(all ...prometheus.Collector) {
	for _, c := range all {
		if _, single := c.(prometheus.Metric); !single {
			v.Registerer.MustRegister(c)
		}
	}
}
