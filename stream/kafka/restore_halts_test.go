package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// halt is something that no restart may paper over.
type halt struct {
	harm     func(s *scene)
	words    []string
	diverged bool
}

var halts = map[string]halt{
	"offsets moved back": {func(s *scene) {
		s.moveOffsets(func(o *kadm.Offset) { o.At-- })
	}, []string{"someone moved the offsets of group lines", "freshet reset"}, true},
	"offsets moved back without metadata": {func(s *scene) {
		s.moveOffsets(func(o *kadm.Offset) { o.At--; o.Metadata = "" })
	}, []string{"someone moved the offsets of group lines", "freshet reset"}, true},
	"changelog created anew": {func(s *scene) {
		s.recreate("lines.changelog", partitions)
	}, []string{"the changelog lines.changelog was created anew", "freshet reset"}, false},
	"offsets of another generation": {func(s *scene) {
		s.moveOffsets(func(o *kadm.Offset) {
			m, err := schemas.DecodeCommit(o.Metadata)
			if err != nil {
				s.Fatal(err)
			}
			m.Generation = 7
			if o.Metadata, err = schemas.EncodeCommit(m); err != nil {
				s.Fatal(err)
			}
		})
	}, []string{"generation 7", "freshet reset"}, false},
	"offsets gone, and the source no longer holds where the state ends": {func(s *scene) {
		s.deleteOffsets()
		s.write("00.md", "later")
		s.write("03.md", "later")
		s.write("07.md", "later")
		s.truncate(s.source.Topic)
	}, []string{"no longer holds offset", "freshet reset"}, false},
	"disk lost, and the changelog emptied": {func(s *scene) {
		s.stores.lose()
		s.truncate("lines.changelog")
	}, []string{"the changelog lost records", "freshet reset"}, true},
	"disk and offsets lost, and the changelog emptied": {func(s *scene) {
		s.stores.lose()
		s.deleteOffsets()
		s.truncate("lines.changelog")
	}, []string{"the changelog lost records", "freshet reset"}, true},
	"disk lost, and the changelog's head deleted": {func(s *scene) {
		s.stores.lose()
		s.behead("lines.changelog")
	}, []string{"the changelog lost records", "freshet reset"}, true},
	"disk behind, and what it missed deleted": {func(s *scene) {
		behind := s.stores.clone()
		for _, path := range paths(9) {
			s.write(path, "line\nlater")
		}
		p := s.start()
		s.settle(p)
		if err := p.stop(); err != nil {
			s.Fatal(err)
		}
		s.stores = behind
		s.behead("lines.changelog")
	}, []string{"the changelog lost records", "freshet reset"}, true},
	"the changelog is shorter than what is committed": {func(s *scene) {
		s.moveOffsets(func(o *kadm.Offset) {
			m, err := schemas.DecodeCommit(o.Metadata)
			if err != nil {
				s.Fatal(err)
			}
			m.Progress += 1000
			if o.Metadata, err = schemas.EncodeCommit(m); err != nil {
				s.Fatal(err)
			}
		})
	}, []string{"the changelog lost records", "freshet reset"}, true},
}

// TestRestoreHalts does something that no restart may paper over.
func TestRestoreHalts(t *testing.T) {
	for name, c := range halts {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *scene) {
				s.filled()
				c.harm(s)
				rows := len(s.records("lines.rows", kgo.ReadUncommitted()))
				p := s.start(func(c *setup) { c.deliver = false })
				p.halts(stream.Usage, c.words...)
				if got := p.proc.Metrics.Divergences.Load() > 0; got != c.diverged {
					t.Errorf("a divergence was counted: %t, want %t", got, c.diverged)
				}
				if len(s.stores.wiped) > 0 {
					t.Errorf("partitions %v were wiped, whose state can't be had again", s.stores.wiped)
				}
				if n := len(s.records("lines.rows", kgo.ReadUncommitted())); n != rows {
					t.Errorf("%d rows were written", n-rows)
				}
			})
		})
	}
}
