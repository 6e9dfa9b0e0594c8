package cli

import (
	"context"
	"slices"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/kafka"
)

// kafkaSource is the topic that the processors read: the source's own, or the one that the intake writes from all sources.
func (a *app) kafkaSource() kafka.Source {
	planned := int32(a.flow.Kafka.Partitions)
	if !a.flow.Intake() {
		s := a.flow.Sources[0]
		return kafka.Source{Topic: s.Topic, Ours: s.Kind == "files", Planned: planned}
	}
	own := kafka.Source{Topic: kafka.IntakeTopic(a.flow.Name), Ours: true, Planned: planned}
	for _, s := range a.flow.Sources {
		own.From = append(own.From, kafka.Source{Topic: s.Topic, Ours: s.Kind == "files"})
	}
	return own
}

// decoder decodes what the processors read; the salt tells its decoding from another one.
func (a *app) decoder() (stream.Decoder, stream.Fingerprint) {
	if !a.flow.Intake() {
		return decoder(a.flow.Sources[0])
	}
	all, salts := map[string]stream.Decoder{}, []stream.Value{}
	for _, s := range a.sourcesByName() {
		dec, salt := decoder(s)
		all[s.Name] = dec
		salts = append(salts, stream.StringOf(s.Name), stream.BytesOf(salt[:]))
	}
	return schemas.NewIntake(all), stream.FingerprintOf(stream.ListOf(salts...))
}

func (a *app) sourcesByName() []flow.Source {
	all := slices.Clone(a.flow.Sources)
	slices.SortFunc(all, func(x, y flow.Source) int {
		if x.Name < y.Name {
			return -1
		}
		return 1
	})
	return all
}

// filesSources are the sources of kind files.
func (a *app) filesSources() []flow.Source {
	return slices.DeleteFunc(slices.Clone(a.flow.Sources), func(s flow.Source) bool { return s.Kind != "files" })
}

func (a *app) startIntake() {
	c := kafka.IntakeConfig{Cluster: a.cluster, Topics: a.topics, TransactionalID: a.transactionalID("intake"), Instance: a.instance(),
		ControlAddress: a.address, Sources: map[string]kafka.IntakeSource{}, At: crashPoint}
	for _, s := range a.flow.Sources {
		dec, _ := decoder(s)
		c.Sources[s.Topic] = kafka.IntakeSource{Name: s.Name, Decoder: dec}
	}
	a.intake = kafka.NewIntake(c)
}

// takenIn reports whether the intake has read all of its sources to the end.
func (a *app) takenIn(ctx context.Context) (bool, error) {
	if a.intake == nil {
		return true, nil
	}
	behind, all, err := a.intake.Behind(ctx)
	return behind == 0 && all, err
}

// intakeStatus says what the intake of this process does; nil without one. Its lag is unknown without Kafka's answer.
func (a *app) intakeStatus(ctx context.Context) *control.Intake {
	if a.intake == nil {
		return nil
	}
	m := &a.intake.Metrics
	s := &control.Intake{Records: m.Records.Load(), Transactions: control.Transactions{Committed: m.Commits.Load(), Aborted: m.Aborts.Load()}}
	if behind, _, err := a.intake.Behind(ctx); err == nil {
		s.Lag = &behind
	}
	return s
}
