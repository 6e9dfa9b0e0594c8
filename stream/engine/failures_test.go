package engine_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// withModel plays a scene whose node asks a model server.
func withModel(t *testing.T, seed uint64, script func(t *testing.T, s *scene, p *part, m *modelServer)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		m, err := newModelServer(seed, dir)
		if err != nil {
			t.Fatal(err)
		}
		defer m.close()
		s := newScene()
		s.clock = true
		if s.program.shout.Operator, err = m.operator(); err != nil {
			t.Fatal(err)
		}
		s.told = map[stream.ErrorKind]int{}
		s.events = engine.Events{Retrying: func(_ string, err error, _ time.Duration) {
			m.mu.Lock()
			s.told[stream.KindOf(err)]++
			m.mu.Unlock()
		}}
		s.start()
		defer s.stop()
		p, err := s.part(0)
		if err != nil {
			t.Fatal(err)
		}
		script(t, s, p, m)
	})
}

const failingDocuments = 300

// failingDocument has three texts of its own; one document in a hundred has one that the provider refuses.
func failingDocument(i int) write {
	body := fmt.Sprintf("a%d,b%d,c%d", i, i, i)
	if i%100 == 7 {
		body += fmt.Sprintf(",refused%d", i)
	}
	return write{fmt.Sprint(i), "title=T body=" + body}
}

// TestFailureClasses: a model server throttles, breaks, hangs, refuses inputs and lets keys expire. Each class of failure has its one
// reaction; in the end the tables are those of a calm run, except for documents that were refused; no answer is paid for twice.
func TestFailureClasses(t *testing.T) {
	var calm map[stream.RowID]string
	withModel(t, 0, func(t *testing.T, s *scene, p *part, _ *modelServer) {
		s.writeAll(t, p, nil)
		calm = maps.Clone(p.rows)
	})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	withModel(t, seed, func(t *testing.T, s *scene, p *part, m *modelServer) {
		m.faults = map[int]float64{http.StatusTooManyRequests: 0.10, http.StatusInternalServerError: 0.05, 0: 0.02}
		s.writeAll(t, p, func(i int) {
			switch i % 100 {
			case 40:
				m.expire(fmt.Sprint("key ", i))
			case 60:
				<-time.After(2 * time.Minute) // much longer than a document may fail
				if err := m.rotate(fmt.Sprint("key ", i-20)); err != nil {
					t.Fatal(err)
				}
			}
		})
		if !maps.Equal(p.rows, calm) {
			t.Errorf("%d rows, %d in a calm run, or others", len(p.rows), len(calm))
		}
		m.expectReactions(t, s.told)
		for i := range failingDocuments {
			h := p.header(t, fmt.Sprint("book/", i))
			refused := i%100 == 7
			if refused != (h.Status == engine.Quarantined) || refused != strings.Contains(h.Reason, "answers 400: no: 400") {
				t.Errorf("document %d is %s (%s)", i, h.Status, h.Reason)
			}
		}
	})
}

// writeAll writes the documents, ten at a time, and lets everything finish.
func (s *scene) writeAll(t *testing.T, p *part, meanwhile func(i int)) {
	t.Helper()
	var writes []write
	for i := range failingDocuments {
		if writes = append(writes, failingDocument(i)); len(writes) == 10 {
			s.must(t, p, writes...)
			writes = nil
		}
		if meanwhile != nil {
			meanwhile(i)
		}
	}
	s.finish(t, p, 3*time.Hour)
}

// finish commits until nothing runs or rests.
func (s *scene) finish(t *testing.T, p *part, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); p.engine.Busy(); <-time.After(5 * time.Second) {
		if time.Now().After(end) {
			t.Fatalf("still busy after %v: %+v", within, p.engine.Stats())
		}
		s.must(t, p)
	}
}

// expectReactions reads the server's log.
func (m *modelServer) expectReactions(t *testing.T, told map[stream.ErrorKind]int) {
	t.Helper()
	seen := map[int]int{}
	for _, a := range m.requests {
		seen[a.status]++
	}
	t.Logf("answers by status: %v; told: %v", seen, told)
	for _, status := range []int{0, 200, 400, 401, 429, 500} {
		if seen[status] == 0 {
			t.Errorf("no answer had status %d", status)
		}
	}
	if told[stream.Throttled] != seen[429] || told[stream.Unauthorised] != seen[401] || told[stream.Transient] > seen[500]+seen[0] {
		t.Errorf("told of %v", told)
	}
	for i := range failingDocuments {
		for _, text := range strings.Split(strings.TrimPrefix(failingDocument(i).text, "title=T body="), ",") {
			expectReactionsTo(t, text, m.answers(text))
		}
	}
}

func expectReactionsTo(t *testing.T, text string, all []asked) {
	t.Helper()
	for j, a := range all[:len(all)-1] {
		wait := all[j+1].at.Sub(a.at)
		switch {
		case a.status == 200:
			t.Errorf("%s was answered, and asked for again", text)
		case a.status == 429 && wait < retryAfter:
			t.Errorf("%s was throttled, and asked for again after %v", text, wait)
		case (a.status == 500 || a.status == 401) && wait < 50*time.Millisecond:
			if len(a.inputs) == len(all[j+1].inputs) { // not halved
				t.Errorf("%s failed with %d, and was asked for again after %v", text, a.status, wait)
			}
		case a.status == 0 && wait < 5*time.Second:
			t.Errorf("%s was asked for again while its request hung", text)
		case a.status == 400 && len(a.inputs) == 1:
			t.Errorf("%s was refused, and asked for again", text)
		}
	}
	want := 200
	if strings.HasPrefix(text, "refused") {
		want = 400
	}
	if last := all[len(all)-1]; last.status != want {
		t.Errorf("%s was answered %d in the end, want %d", text, last.status, want)
	}
}

// TestModelServerAway: two minutes without the model server hold up nobody who does not need it, and all arrives afterwards.
func TestModelServerAway(t *testing.T) {
	withModel(t, 1, func(t *testing.T, s *scene, p *part, m *modelServer) {
		s.must(t, p, write{"before", "title=B body=before"})
		m.setDown(true)
		for i := range 120 {
			s.must(t, p, failingDocument(i), write{fmt.Sprint("free", i), fmt.Sprint("title=F", i)})
			if got := p.table(fmt.Sprint("book/free", i)); got != fmt.Sprintf(`pages="F%d"`, i) {
				t.Fatalf("a document that needs no model has %s", got)
			}
			<-time.After(time.Second)
		}
		if n := p.engine.Stats().Pending; n != 120 || p.engine.Parked() == 0 {
			t.Errorf("%d are pending, %d of them parked", n, p.engine.Parked())
		}
		m.setDown(false)
		s.finish(t, p, time.Minute)
		if n := p.engine.Stats().Quarantined; n != 2 { // by the provider, see failingDocument
			t.Errorf("%d documents are quarantined, want 2", n)
		}
		counts := map[string]int{}
		for _, a := range m.requests {
			if a.status == 200 {
				for _, text := range a.inputs {
					counts[text]++
				}
			}
		}
		if n := slices.Max(slices.Collect(maps.Values(counts))); n != 1 {
			t.Errorf("a text was computed %d times", n)
		}
	})
}
